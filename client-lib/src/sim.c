/* SPDX-License-Identifier: MIT */
/* The simulated devices' DMA engine: one op, and a device by name like everywhere. */
#include "client-lib/src/request.h"

struct sim_dma_request {
	struct dmabroker_request request;
	struct wire_sim_dma dma;
};

static int sim_dma_send(struct dmabroker_request *request)
{
	struct wire_sim_dma *dma = &((struct sim_dma_request *)request)->dma;

	dma->device_id = request->devices->ids[0];
	return request_call(request, WIRE_OP_SIM_DMA, dma, sizeof(*dma), -1);
}

static int sim_dma_reply(struct dmabroker_request *request, uint16_t op, struct packet *packet)
{
	return 0;
}

static const struct request_ops sim_dma_ops = { .send = sim_dma_send, .reply = sim_dma_reply };

static int sim_dma_new(struct dmabroker *broker, const struct dmabroker_sim_dma_params *user_params,
		       const struct dmabroker_async *async, struct dmabroker_request **ret)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	struct dmabroker_sim_dma_params params;
	int r;

	r = params_copy(&params, sizeof(params), sizeof(params), user_params);
	if (r < 0)
		return r;
	r = request_new(broker, &sim_dma_ops, sizeof(struct sim_dma_request), async, &request);
	if (r < 0)
		return r;
	r = request_set_devices(request, &params.device, 1);
	if (r < 0)
		return r;
	((struct sim_dma_request *)request)->dma =
		(struct wire_sim_dma){ .command = WIRE_SIM_DMA_COPY,
				       .source = params.source,
				       .destination = params.destination,
				       .length_bytes = params.length_bytes };
	*ret = TAKE_PTR(request);
	return 0;
}

int dmabroker_sim_dma_copy(struct dmabroker *broker, const struct dmabroker_sim_dma_params *params)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	int r;

	r = sim_dma_new(broker, params, NULL, &request);
	return r < 0 ? r : request_run(request);
}

int dmabroker_sim_dma_copy_start(struct dmabroker *broker,
				 const struct dmabroker_sim_dma_params *params,
				 const struct dmabroker_async *async,
				 struct dmabroker_request **ret_request)
{
	struct dmabroker_request *request;
	int r;

	r = sim_dma_new(broker, params, async, &request);
	return r < 0 ? r : request_start(request, ret_request);
}
