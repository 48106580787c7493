#include "collector/store/store.h"

#include "common/rows/block.h"

#include <stdlib.h>

static int check_row(const struct chunk_head *h, uint32_t number, const struct flow_row *row, struct error *e)
{
    if (row->key.interface >= h->interface_count)
        return error_set(e, ERROR_INVALID, "row %u names interface %u of %u", number, row->key.interface,
                         h->interface_count);
    for (uint32_t i = 0; i < row->frames.count; i++)
        if (row->frames.items[i] >= h->frame_count)
            return error_set(e, ERROR_INVALID, "row %u names frame %u of %u", number, row->frames.items[i],
                             h->frame_count);
    return 0;
}

static int check_flows(const struct chunk_head *h, struct error *e)
{
    struct block *b = NULL;
    void *rows = NULL;
    int r = block_open(&table_flow, h->flows, h->flows_length, &b, e);
    if (!r && block_rows(b) != h->flow_rows)
        r = error_set(e, ERROR_INVALID, "the head says %u rows, its block has %u", h->flow_rows, block_rows(b));
    if (!r)
        r = block_read(b, &rows, e);
    for (uint32_t i = 0; !r && i < h->flow_rows; i++)
        r = check_row(h, i, (const struct flow_row *)rows + i, e);
    free(rows);
    block_close(b);
    return r;
}

static int check_exchanges(const struct chunk_head *h, struct error *e)
{
    struct block *b = NULL;
    void *rows = NULL;
    int r = block_open(&table_exchange, h->exchanges, h->exchanges_length, &b, e);
    if (!r)
        r = block_read(b, &rows, e);
    free(rows);
    block_close(b);
    return r;
}

int store_verify_head(const void *data, size_t len, struct chunk_head *h, struct error *e)
{
    int r = head_decode(data, len, h, e);
    if (r)
        return r;
    if (h->flows)
        r = check_flows(h, e);
    else if (h->flow_rows)
        r = error_set(e, ERROR_INVALID, "the head says %u rows, but has none", h->flow_rows);
    if (!r && h->exchanges)
        r = check_exchanges(h, e);
    if (r)
        head_free(h);
    return r;
}
