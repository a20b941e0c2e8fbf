/* SPDX-License-Identifier: MIT */
/* Every initialiser and every callback type, used as C11 and as C++ see them. */
#include <dmabroker/dmabroker.h>

static void on_end(struct dmabroker_request *request, int result, void *userdata)
{
	(void)request;
	*(int *)userdata = result;
}

static void on_event(struct dmabroker *broker, const struct dmabroker_event *event, void *userdata)
{
	(void)broker;
	*(uint32_t *)userdata = event->type;
}

int use(struct dmabroker *broker);
int use(struct dmabroker *broker)
{
	struct dmabroker_connect_params connect_params = DMABROKER_CONNECT_PARAMS_INIT;
	struct dmabroker_alloc_params alloc_params = DMABROKER_ALLOC_PARAMS_INIT;
	struct dmabroker_map_params map_params = DMABROKER_MAP_PARAMS_INIT;
	struct dmabroker_query_params query_params = DMABROKER_QUERY_PARAMS_INIT;
	struct dmabroker_sim_dma_params dma_params = DMABROKER_SIM_DMA_PARAMS_INIT;
	struct dmabroker_async async = DMABROKER_ASYNC_INIT;
	uint32_t type = 0;
	int result = 0;

	async.callback = on_end;
	async.userdata = &result;
	alloc_params.kind = DMABROKER_KIND_WRITECOMBINE;
	alloc_params.attributes = DMABROKER_ATTR_FORCE_CONTIGUOUS |
				  DMABROKER_ATTR_NO_KERNEL_MAPPING;
	query_params.type = DMABROKER_QUERY_DEVICES;
	dmabroker_set_event_handler(broker, on_event, &type);
	dmabroker_alloc_start(broker, &alloc_params, &async, NULL);
	dmabroker_query_start(broker, &query_params, NULL, NULL);
	return result + (int)(connect_params.struct_size + map_params.struct_size +
			      dma_params.struct_size + type);
}
