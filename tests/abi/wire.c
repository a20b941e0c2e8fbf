/* SPDX-License-Identifier: MIT */
/*
 * The sizes that version 1 of the wire promised. A struct may grow at its end: then its line here
 * changes, and the table of ops keeps the old size as the minimum. It may never shrink, and where
 * entries follow it (lists, ALLOC) it may never change. tests/abi/headers compiles this with
 * -Wpadded: no struct has bytes without a name, which would leak memory or carry garbage.
 */
#include "proto/wire.h"

#define SIZE(name, bytes) _Static_assert(sizeof(struct name) == (bytes), #name " has changed")
#define AT(name, field, bytes) \
	_Static_assert(offsetof(struct name, field) == (bytes), #name "." #field " has moved")

SIZE(wire_header, 16);
SIZE(wire_empty, 0);
SIZE(wire_refusal, 512);
SIZE(wire_hello, 48);
SIZE(wire_hello_reply, 72);
SIZE(wire_status_reply, 320);
SIZE(wire_list, 24);
SIZE(wire_list_reply, 24);
SIZE(wire_device, 208);
SIZE(wire_device_find, 64);
SIZE(wire_layout, 88);
SIZE(wire_alloc, 272);
SIZE(wire_alloc_reply, 88);
SIZE(wire_id, 8);
SIZE(wire_buffer, 360);
SIZE(wire_share, 16);
SIZE(wire_token, 16);
SIZE(wire_map, 32);
SIZE(wire_mapping, 48);
SIZE(wire_map_reply, 48);
SIZE(wire_segments, 16);
SIZE(wire_segment, 16);
SIZE(wire_sync, 32);
SIZE(wire_client, 200);
SIZE(wire_account, 184);
SIZE(wire_doctor_line, 512);
SIZE(wire_sim_dma, 40);

AT(wire_header, op, 4);
AT(wire_header, flags, 6);
AT(wire_header, serial, 8);
AT(wire_refusal, text, 32);
AT(wire_alloc, devices, 32);
AT(wire_alloc, name, 96);
AT(wire_alloc, layout, 128);
AT(wire_alloc, reserved, 216);
AT(wire_buffer, kind, 48);
AT(wire_buffer, name, 80);
AT(wire_buffer, layout, 272);
AT(wire_status_reply, uid, 136);
AT(wire_device, bus, 32);

/* The minimum a request must have is what version 1 sent, for ever. */
#define X(NAME, number, req, min, fds, rep, rfds, who) \
	_Static_assert(sizeof(struct req) >= (min), #NAME);
WIRE_OPS(X)
#undef X
