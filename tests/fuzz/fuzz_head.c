/*
 * Heads from anybody. No fuzzer guesses a hash, so length and hash are made right first; a head that is then accepted must be written again and
 * read as the same.
 */
#include "common/base/hash.h"
#include "common/chunk/head.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void write_and_read_again(const struct chunk_head *h)
{
    struct buffer out = {0};
    struct chunk_head again;
    struct error e;
    if (head_encode(h, &out, &e) || head_decode(out.data, out.len, &again, &e))
        abort();
    if (again.frame_count != h->frame_count || again.seq != h->seq || strcmp(again.agent, h->agent) != 0 ||
        memcmp(&again.totals, &h->totals, sizeof(h->totals)) != 0 ||
        (h->frame_count && memcmp(again.frames, h->frames, h->frame_count * sizeof(h->frames[0])) != 0))
        abort();
    head_free(&again);
    buffer_free(&out);
}

static void decode(const uint8_t *data, size_t len)
{
    struct chunk_head h;
    struct error e;
    if (head_decode(data, len, &h, &e))
        return;
    write_and_read_again(&h);
    head_free(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    decode(data, len);
    if (len < 20)
        return 0;
    uint8_t *sealed = malloc(len);
    if (!sealed)
        return 0;
    memcpy(sealed, data, len);
    for (unsigned i = 0; i < 4; i++)
        sealed[8 + i] = (uint8_t)(len >> 8 * i);
    uint64_t hash = hash64(sealed, len - 8);
    for (unsigned i = 0; i < 8; i++)
        sealed[len - 8 + i] = (uint8_t)(hash >> 8 * i);
    decode(sealed, len);
    free(sealed);
    return 0;
}
