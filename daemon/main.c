/* SPDX-License-Identifier: MIT */
/*
 * dmabrokerd: reads its options and its configuration, makes the broker, and runs until told to
 * stop. Started by systemd it is given its socket and says when it is ready; started by hand it
 * makes the socket itself. Either way it runs as whoever started it and needs no privilege but
 * access to its backend.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <config.h>
#include "proto/cleanup.h"
#include "daemon/broker.h"
#include "daemon/bus.h"
#include "daemon/listener.h"
#include "daemon/log.h"

#define CONFIG_PATH DMABROKER_SYSCONFDIR "/dmabroker.conf"

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_CONFIGURATION = 78,
};

struct options {
	const char *backend;
	const char *config;
	const char *socket;
	const char *bus;
	const char *log_level;
	bool check_only;
};

static const char help[] =
	"Usage: dmabrokerd [OPTION]...\n"
	"Hands out DMA memory to unprivileged programs, under policy and quota.\n"
	"\n"
	"  --backend NAME     where memory comes from: auto, kmod or sim; auto never means sim\n"
	"  --config FILE      configuration (" CONFIG_PATH ")\n"
	"  --check-config     read the configuration, say whether it is good, and exit\n"
	"  --socket PATH      where to listen (" WIRE_SOCKET_PATH "),\n"
	"                     unless systemd passes a socket\n"
	"  --bus ADDRESS      D-Bus to appear on: system, session, none, or an address (system)\n"
	"  --log-level LEVEL  error, warning, notice, info or debug (info)\n"
	"  --help             show this\n"
	"  --version          show the version\n"
	"\n"
	"Exit status: 0 stopped when asked to, 1 could not start or go on, 2 wrong usage,\n"
	"78 wrong configuration. The reason is on standard error, or in the journal.\n";

/* 0 to go on, 1 when everything is said already, -EINVAL. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'C' },
		{ "socket", required_argument, NULL, 's' },
		{ "bus", required_argument, NULL, 'B' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'b':
			ret->backend = optarg;
			break;
		case 'c':
			ret->config = optarg;
			break;
		case 'C':
			ret->check_only = true;
			break;
		case 's':
			ret->socket = optarg;
			break;
		case 'B':
			ret->bus = optarg;
			break;
		case 'l':
			ret->log_level = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 1;
		case 'V':
			puts("dmabrokerd " DMABROKER_VERSION);
			return 1;
		default:
			fputs("Try dmabrokerd --help.\n", stderr);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"dmabrokerd: it takes no argument, and \"%s\" is one.\n"
			"Try dmabrokerd --help.\n",
			argv[optind]);
		return -EINVAL;
	}
	return 0;
}

static int read_config(const struct options *options, struct config *config)
{
	const char *path = options->config ? options->config : CONFIG_PATH;
	char error[512];
	FILE *file;
	int r;

	file = fopen(path, "re");
	if (!file) {
		/* The defaults are a complete configuration; a file that was named must be there. */
		if (errno == ENOENT && !options->config) {
			log_line(LOG_INFO, "%s is not there; the defaults apply", path);
			return 0;
		}
		log_line(LOG_ERR, "cannot read %s: %s", path, strerror(errno));
		return -EINVAL;
	}
	r = config_read(config, file, path, error);
	fclose(file);
	if (r < 0)
		log_line(LOG_ERR, "%s", error);
	return r;
}

/* The command line says it last. */
static int apply_options(const struct options *options, struct config *config)
{
	if (options->backend) {
		char why[512];

		if (backend_check_name(options->backend, why) < 0) {
			fprintf(stderr, "dmabrokerd: %s\n", why);
			return -EINVAL;
		}
		snprintf(config->backend, sizeof(config->backend), "%s", options->backend);
	}
	if (options->socket) {
		char *socket = strdup(options->socket);

		if (!socket)
			return -ENOMEM;
		free(config->socket);
		config->socket = socket;
	}
	if (options->log_level && log_level_parse(options->log_level, &config->log_level) < 0) {
		fprintf(stderr,
			"dmabrokerd: --log-level %s: say error, warning, notice, info or debug\n",
			options->log_level);
		return -EINVAL;
	}
	return 0;
}

/* As many fds as we are allowed: everything that is bounded by them is bounded by us, too. */
static uint64_t raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	return limit.rlim_cur;
}

static int new_base(struct event_base **ret)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config) {
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
		event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1);
		base = event_base_new_with_config(config);
		event_config_free(config);
	}
	if (!base)
		return -ENOMEM;
	if (event_base_priority_init(base, NR_PRIORITIES) < 0) {
		event_base_free(base);
		return -ENOMEM;
	}
	*ret = base;
	return 0;
}

static void on_signal(evutil_socket_t signal_number, short what, void *userdata)
{
	log_line(LOG_INFO, "stopping on signal %d", (int)signal_number);
	event_base_loopbreak(userdata);
}

static void on_libevent(int severity, const char *message)
{
	log_line(severity >= EVENT_LOG_WARN ? LOG_WARNING : LOG_DEBUG, "libevent: %s", message);
}

/* The socket that systemd passes, or -1 to make one. */
static int passed_socket(int *ret_sock)
{
	int nr = sd_listen_fds(1);

	if (nr > 1) {
		log_line(LOG_ERR, "systemd passed %d sockets; the socket unit needs exactly one",
			 nr);
		return -EINVAL;
	}
	*ret_sock = nr == 1 ? SD_LISTEN_FDS_START : -1;
	return nr < 0 ? nr : 0;
}

static int serve(struct event_base *base, const struct config *config, const char *bus_address)
{
	_cleanup_(cleanup_broker) struct broker *broker = NULL;
	_cleanup_(cleanup_bus) struct bus *bus = NULL;
	char error[768] = "";
	int sock = -1;
	int r;

	r = passed_socket(&sock);
	if (r < 0)
		return r;
	r = broker_new(base, config, raise_file_limit(), &broker, error);
	if (r == 0)
		r = listener_new(broker, sock, config->socket, &broker->listener, error);
	if (r < 0) {
		log_line(LOG_ERR, "%s", error[0] ? error : strerror(-r));
		return r;
	}
	r = bus_new(broker, bus_address, &bus);
	if (r < 0) {
		log_line(LOG_ERR,
			 "D-Bus at %s: %s; --bus takes system, session, none, or an address such "
			 "as unix:path=/run/dbus/system_bus_socket",
			 bus_address, strerror(-r));
		return r;
	}
	sd_notifyf(0, "READY=1\nSTATUS=Serving with the %s backend, up to %u clients",
		   broker->backend->ops->name, broker->clients_max);
	log_line(LOG_INFO, "ready, at %s", sock >= 0 ? "systemd's socket" : config->socket);
	r = event_base_dispatch(base) < 0 ? -EIO : 0;
	sd_notify(0, "STOPPING=1");
	if (r < 0)
		log_line(LOG_ERR, "the event loop failed");
	return r;
}

static int run(const struct config *config, const char *bus_address)
{
	static const int signals[] = { SIGTERM, SIGINT };
	struct event *events[2] = { NULL, NULL };
	struct event_base *base;
	int r;

	signal(SIGPIPE, SIG_IGN);
	event_set_log_callback(on_libevent);
	r = new_base(&base);
	if (r < 0) {
		log_line(LOG_ERR, "no event loop: %s", strerror(-r));
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < 2 && r == 0; i++) {
		events[i] = evsignal_new(base, signals[i], on_signal, base);
		if (!events[i] || event_add(events[i], NULL) < 0)
			r = -ENOMEM;
		else
			event_priority_set(events[i], PRIORITY_CONTROL);
	}
	if (r == 0)
		r = serve(base, config, bus_address);
	for (size_t i = 0; i < 2; i++)
		if (events[i])
			event_free(events[i]);
	event_base_free(base);
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

int main(int argc, char **argv)
{
	_cleanup_(cleanup_config) struct config *config = NULL;
	struct options options = { .bus = "system" };
	int r;

	r = parse_options(argc, argv, &options);
	if (r != 0)
		return r < 0 ? EXIT_USAGE : EXIT_DONE;
	log_open(LOG_INFO);
	if (config_new(&config) < 0) {
		log_line(LOG_ERR, "out of memory");
		return EXIT_FAILED;
	}
	if (read_config(&options, config) < 0)
		return EXIT_CONFIGURATION;
	if (apply_options(&options, config) < 0)
		return EXIT_USAGE;
	if (options.check_only) {
		printf("%s: good\n", options.config ? options.config : CONFIG_PATH);
		return EXIT_DONE;
	}
	log_open(config->log_level);
	r = run(config, options.bus);
	log_close();
	return r;
}
