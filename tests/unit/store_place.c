#include "tests/unit/store_place.h"

#include "collector/store/pack.h"

#include <stdlib.h>

int place_make(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    p->path = support_folder();
    p->s = open_store(p->path, NULL);
    *state = p;
    return 0;
}

int place_remove(void **state)
{
    struct place *p = *state;
    store_close(p->s);
    support_folder_remove(p->path);
    free(p);
    return 0;
}

void place_reopen(struct place *p, const struct store_config *config)
{
    store_close(p->s);
    p->s = open_store(p->path, config);
}

void place_assert_cursors(struct place *p, uint8_t stream, uint64_t head_next, uint64_t body_next)
{
    uint8_t epoch[EPOCH_SIZE];
    uint64_t head = 99, body = 99;
    epoch_of(stream, epoch);
    assert_int_equal(store_stream_state(p->s, epoch, NULL, &head, &body, &p->e), 0);
    assert_int_equal(head, head_next);
    assert_int_equal(body, body_next);
}
