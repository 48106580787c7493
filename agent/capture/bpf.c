#include "agent/capture/bpf.h"
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>

struct machine {
    const struct bpf_packet *p;
    uint32_t a, x;
    uint32_t memory[BPF_MEMWORDS];
    bool bad; /* the program is over, its result 0 */
};

static uint32_t fail(struct machine *m)
{
    m->bad = true;
    return 0;
}

/* ---------------------------------------------------------------- the packet's bytes */

static uint32_t length(const struct bpf_packet *p)
{
    return p->tagged ? p->wire - 4 : p->wire;
}

static uint8_t byte_at(struct machine *m, uint64_t at)
{
    const struct bpf_packet *p = m->p;
    if (p->tagged && at >= p->tag_at)
        at += 4;
    return at < p->captured ? p->data[at] : (uint8_t)fail(m);
}

static uint32_t tag(const struct bpf_packet *p)
{
    const uint8_t *t = p->data + p->tag_at + 2;
    return p->tagged ? (uint32_t)(t[0] << 8 | t[1]) : 0;
}

static uint32_t beside(struct machine *m, uint32_t what)
{
    switch (what) {
    case SKF_AD_PKTTYPE:
        return m->p->packet_type;
    case SKF_AD_IFINDEX:
        return m->p->interface;
    case SKF_AD_VLAN_TAG:
        return tag(m->p);
    case SKF_AD_VLAN_TAG_PRESENT:
        return m->p->tagged;
    default:
        return fail(m);
    }
}

static uint32_t load(struct machine *m, unsigned size, uint64_t at)
{
    uint32_t value = 0;
    unsigned bytes = size == BPF_W ? 4 : size == BPF_H ? 2 : 1;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | byte_at(m, at + i);
    return value;
}

static uint32_t load_absolute(struct machine *m, unsigned size, uint32_t at)
{
    return at >= (uint32_t)SKF_AD_OFF ? beside(m, at - (uint32_t)SKF_AD_OFF) : load(m, size, at);
}

static uint32_t *word(struct machine *m, uint32_t k)
{
    if (k < BPF_MEMWORDS)
        return &m->memory[k];
    m->bad = true;
    return &m->memory[0];
}

/* ---------------------------------------------------------------- instructions */

static uint32_t value_of_load(struct machine *m, const struct bpf_insn *i)
{
    switch (BPF_MODE(i->code)) {
    case BPF_IMM:
        return i->k;
    case BPF_ABS:
        return load_absolute(m, BPF_SIZE(i->code), i->k);
    case BPF_IND:
        return load(m, BPF_SIZE(i->code), (uint64_t)m->x + i->k);
    case BPF_MEM:
        return *word(m, i->k);
    case BPF_LEN:
        return length(m->p);
    case BPF_MSH:
        return (load(m, BPF_B, i->k) & 15u) * 4;
    default:
        return fail(m);
    }
}

static uint32_t calculate(struct machine *m, const struct bpf_insn *i)
{
    uint32_t by = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
    switch (BPF_OP(i->code)) {
    case BPF_ADD:
        return m->a + by;
    case BPF_SUB:
        return m->a - by;
    case BPF_MUL:
        return m->a * by;
    case BPF_DIV:
        return by ? m->a / by : fail(m);
    case BPF_MOD:
        return by ? m->a % by : fail(m);
    case BPF_AND:
        return m->a & by;
    case BPF_OR:
        return m->a | by;
    case BPF_XOR:
        return m->a ^ by;
    case BPF_LSH:
        return by < 32 ? m->a << by : 0;
    case BPF_RSH:
        return by < 32 ? m->a >> by : 0;
    case BPF_NEG:
        return 0 - m->a;
    default:
        return fail(m);
    }
}

/* How many instructions are gone past. */
static uint64_t jump(struct machine *m, const struct bpf_insn *i)
{
    uint32_t with = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
    switch (BPF_OP(i->code)) {
    case BPF_JA:
        return i->k;
    case BPF_JEQ:
        return m->a == with ? i->jt : i->jf;
    case BPF_JGT:
        return m->a > with ? i->jt : i->jf;
    case BPF_JGE:
        return m->a >= with ? i->jt : i->jf;
    case BPF_JSET:
        return m->a & with ? i->jt : i->jf;
    default:
        return fail(m);
    }
}

static uint64_t step(struct machine *m, const struct bpf_insn *i)
{
    switch (BPF_CLASS(i->code)) {
    case BPF_LD:
        m->a = value_of_load(m, i);
        return 0;
    case BPF_LDX:
        m->x = value_of_load(m, i);
        return 0;
    case BPF_ST:
        *word(m, i->k) = m->a;
        return 0;
    case BPF_STX:
        *word(m, i->k) = m->x;
        return 0;
    case BPF_ALU:
        m->a = calculate(m, i);
        return 0;
    case BPF_JMP:
        return jump(m, i);
    default: /* BPF_MISC */
        if (BPF_MISCOP(i->code) == BPF_TAX)
            m->x = m->a;
        else
            m->a = m->x;
        return 0;
    }
}

uint32_t bpf_run(const struct bpf_program *program, const struct bpf_packet *p)
{
    struct machine m = {.p = p};
    for (uint64_t at = 0; at < program->bf_len; at++) {
        const struct bpf_insn *i = &program->bf_insns[at];
        if (BPF_CLASS(i->code) == BPF_RET)
            return BPF_RVAL(i->code) == BPF_A ? m.a : i->k;
        at += step(&m, i);
        if (m.bad)
            return 0;
    }
    return 0;
}

/* ---------------------------------------------------------------- two programs */

/* Both behind each other. */
static struct bpf_insn *join(const struct bpf_program *first, const struct bpf_program *second, struct bpf_program *out)
{
    size_t count = (size_t)first->bf_len + second->bf_len;
    *out = (struct bpf_program){0};
    struct bpf_insn *all = count <= BPF_PROGRAM_MAX ? calloc(count, sizeof *all) : NULL;
    if (!all)
        return NULL;
    memcpy(all, first->bf_insns, first->bf_len * sizeof *all);
    memcpy(all + first->bf_len, second->bf_insns, second->bf_len * sizeof *all);
    *out = (struct bpf_program){.bf_len = (u_int)count, .bf_insns = all};
    return all;
}

bool bpf_or(const struct bpf_program *first, const struct bpf_program *second, struct bpf_program *out)
{
    struct bpf_insn *all = join(first, second, out);
    for (uint32_t i = 0; all && i < first->bf_len; i++)
        if (all[i].code == (BPF_RET | BPF_K) && all[i].k == 0)
            all[i] = (struct bpf_insn)BPF_STMT(BPF_JMP | BPF_JA, first->bf_len - i - 1);
    return all != NULL;
}

bool bpf_but(const struct bpf_program *forbidden, const struct bpf_program *rest, struct bpf_program *out)
{
    struct bpf_insn *all = join(forbidden, rest, out);
    for (uint32_t i = 0; all && i < forbidden->bf_len; i++)
        if (all[i].code == (BPF_RET | BPF_K))
            all[i] = all[i].k ? (struct bpf_insn)BPF_STMT(BPF_RET | BPF_K, 0)
                              : (struct bpf_insn)BPF_STMT(BPF_JMP | BPF_JA, forbidden->bf_len - i - 1);
    return all != NULL;
}

void bpf_free(struct bpf_program *program)
{
    free(program->bf_insns);
    *program = (struct bpf_program){0};
}
