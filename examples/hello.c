/* SPDX-License-Identifier: MIT */
#include <dmabroker/dmabroker.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	struct dmabroker_alloc_params params = DMABROKER_ALLOC_PARAMS_INIT;
	struct dmabroker_buffer *buffer;
	struct dmabroker *broker;
	void *memory;

	params.size_bytes = 64 * 1024;
	params.count = 1;
	if (dmabroker_connect(NULL, &broker) < 0 || dmabroker_alloc(broker, &params, &buffer) < 0 ||
	    dmabroker_mmap(buffer, 0, &memory) < 0)
		return fprintf(stderr, "%s\n", dmabroker_get_refusal()->text), 1;
	strcpy(memory, "Hello, device!");
	printf("%s\n", (char *)memory);
	dmabroker_free(buffer);
	dmabroker_unref(broker);
	return 0;
}
