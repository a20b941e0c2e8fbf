/* SPDX-License-Identifier: MIT */
/*
 * The connection to the broker, and what failures mean to the caller of the program: the broker's
 * own refusals are status 1, with its sentence, errno and reason; a broker that is not there, or
 * goes away or answers nothing, is status 3, with what to look at.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/broker.h"

#define DEFAULT_SOCKET "/run/dmabroker/dmabroker.sock"

static const char *socket_path(const struct cli *cli)
{
	const char *path = cli->socket ? cli->socket : secure_getenv("DMABROKER_SOCKET");

	return path && path[0] ? path : DEFAULT_SOCKET;
}

static int no_broker(const struct cli *cli, int error)
{
	const char *path = socket_path(cli);
	const char *text = dmabroker_get_refusal()->text;

	if (!text[0])
		text = strerror(-error);
	if (strstr(text, path))
		complain("%s", text);
	else
		complain("no broker at %s: %s", path, text);
	if (strcmp(path, DEFAULT_SOCKET) == 0)
		complain("'systemctl status dmabroker.socket dmabroker.service' says how it is; "
			 "'systemctl enable --now dmabroker.socket' starts it now and at boot");
	else
		complain("that path comes from %s; without it, the broker is looked for at %s",
			 cli->socket ? "--socket" : "DMABROKER_SOCKET", DEFAULT_SOCKET);
	return STATUS_NO_BROKER;
}

static void refused(int error)
{
	const struct dmabroker_refusal *refusal = dmabroker_get_refusal();
	const char *reason = dmabroker_reason_name(refusal->reason);
	const char *name = strerrorname_np(-error);
	char limit[80] = "", number[24];

	if (refusal->limit)
		snprintf(limit, sizeof(limit), "; limit %" PRIu64 ", %s %" PRIu64, refusal->limit,
			 error == -EDQUOT ? "with this" : "this was", refusal->value);
	/* A broker that is newer than the library may have reasons without a name here. */
	snprintf(number, sizeof(number), "reason %" PRIu32, refusal->reason);
	complain("refused: %s (%s, %s%s)%s", refusal->text, name ? name : strerror(-error),
		 reason ? reason : number, limit,
		 refusal->retry ? "; trying again later can help" : "");
}

int broker_failed(const struct cli *cli, int error)
{
	const struct dmabroker_refusal *refusal = dmabroker_get_refusal();

	if (refusal->reason != DMABROKER_REASON_NONE) {
		refused(error);
		return STATUS_REFUSED;
	}
	switch (error) {
	case -ECONNRESET:
	case -ENOTCONN:
	case -EPROTO:
	case -ETIMEDOUT:
		return no_broker(cli, error);
	}
	complain("%s%s%s", refusal->text[0] ? refusal->text : "", refusal->text[0] ? ": " : "",
		 strerror(-error));
	return STATUS_REFUSED;
}

int broker_connect(const struct cli *cli, struct dmabroker **ret)
{
	struct dmabroker_connect_params params = DMABROKER_CONNECT_PARAMS_INIT;
	int r;

	params.socket_path = cli->socket;
	params.client_name = "dmabrokerctl";
	r = dmabroker_connect(&params, ret);
	if (r == 0)
		return STATUS_DONE;
	if (r == -ENAMETOOLONG)
		return wrong_usage(cli, "%s cannot be a socket: %s", socket_path(cli),
				   strerror(-r));
	if (dmabroker_get_refusal()->reason != DMABROKER_REASON_NONE)
		return broker_failed(cli, r);
	return no_broker(cli, r);
}

int broker_query(const struct cli *cli, struct dmabroker *broker, uint32_t type, uint64_t id,
		 struct dmabroker_list **ret)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	int r;

	params.type = type;
	params.id = id;
	r = dmabroker_query(broker, &params, ret);
	return r == 0 ? STATUS_DONE : broker_failed(cli, r);
}

int broker_query_all(const struct cli *cli, struct dmabroker *broker, uint32_t type, bool all,
		     struct dmabroker_list **ret)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	int r;

	params.type = type;
	if (all || geteuid() == 0)
		params.flags = DMABROKER_QUERY_ALL;
	r = dmabroker_query(broker, &params, ret);
	if (r < 0 && params.flags && !all &&
	    dmabroker_get_refusal()->reason == DMABROKER_REASON_NOT_ADMINISTRATOR) {
		/* Root of a user namespace is not root to the broker. */
		params.flags = 0;
		r = dmabroker_query(broker, &params, ret);
	}
	return r == 0 ? STATUS_DONE : broker_failed(cli, r);
}
