#include "common/filter/tree.h"
#include <stdlib.h>

struct node *tree_node(struct filter *f, enum node_kind kind)
{
    if (f->node_count == FILTER_NODES_MAX)
        return NULL;
    struct node *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->kind = kind;
    n->older = f->nodes;
    f->nodes = n;
    f->node_count++;
    return n;
}

static void node_free(struct node *n)
{
    if (n->kind == NODE_PCAP)
        pcap_word_free(n->pcap.compiled);
    else if (n->kind == NODE_NAME)
        free(n->name.items);
    else if (n->kind == NODE_AGENT || n->kind == NODE_CAPTURE)
        free(n->pattern);
    else if (n->kind == NODE_TEXT)
        free(n->match.pattern);
    free(n->text);
    free(n);
}

void filter_free(struct filter *f)
{
    if (!f)
        return;
    for (struct node *n = f->nodes, *older; n; n = older) {
        older = n->older;
        node_free(n);
    }
    free(f);
}

bool node_is_packet_word(const struct node *n)
{
    return n->kind == NODE_PCAP || n->kind == NODE_MPLS || n->kind == NODE_OUTER;
}

static bool is_of_connection(const struct node *n)
{
    return n->direction == DIRECTION_FROM || n->direction == DIRECTION_TO;
}

bool node_is_connection_word(const struct node *n)
{
    return is_of_connection(n) || n->kind == NODE_ID || n->kind == NODE_COMMUNITY_ID || n->kind == NODE_STATE ||
           n->kind == NODE_FIELD || n->kind == NODE_TEXT || (n->kind == NODE_FACT && n->fact != FACT_EXTERNAL);
}

/* The field that it compares; NULL: none. */
static const struct field *field_of(const struct node *n)
{
    return n->kind == NODE_FIELD ? n->field.field : n->kind == NODE_TEXT ? n->match.field : NULL;
}

bool node_is_measure(const struct node *n)
{
    const struct field *f = field_of(n);
    return n->kind == NODE_STATE || (n->kind == NODE_FACT && n->fact != FACT_EXTERNAL) || (f && f->is_measure);
}

static bool node_is_said(const struct node *n)
{
    const struct field *f = field_of(n);
    return f && f->column[0] && flow_column_is_said(f->column[0]->id);
}

static bool node_is_of_exchanges(const struct node *n)
{
    const struct field *f = field_of(n);
    return f && !field_is_of_flows(f);
}

static bool node_is_measure_of_flows(const struct node *n)
{
    const struct field *f = field_of(n);
    bool of_both = (n->kind == NODE_FACT && n->fact == FACT_UNANSWERED) || (f && f->exchange);
    return node_is_measure(n) && !of_both;
}

/* The oldest node is the first in the text. */
static bool has(const struct filter *f, bool (*is)(const struct node *), const char **what)
{
    const struct node *first = NULL;
    for (const struct node *n = f->nodes; n; n = n->older)
        if (is(n))
            first = n;
    if (first && what)
        *what = first->text;
    return first;
}

bool filter_is_empty(const struct filter *f)
{
    return f->root->kind == NODE_CHAIN && !f->root->child;
}

bool filter_has_packet_words(const struct filter *f, const char **what)
{
    return has(f, node_is_packet_word, what);
}

bool filter_has_connection_words(const struct filter *f, const char **what)
{
    return has(f, node_is_connection_word, what);
}

bool filter_has_measures(const struct filter *f, const char **what)
{
    return has(f, node_is_measure, what);
}

bool filter_has_said_words(const struct filter *f, const char **what)
{
    return has(f, node_is_said, what);
}

bool filter_has_exchange_words(const struct filter *f, const char **what)
{
    return has(f, node_is_of_exchanges, what);
}

bool filter_has_flow_measures(const struct filter *f, const char **what)
{
    return has(f, node_is_measure_of_flows, what);
}

const struct field *filter_field(const struct filter *f, bool (*is)(const struct field *field, const void *context),
                                 const void *context, const char **what)
{
    const struct node *first = NULL;
    for (const struct node *n = f->nodes; n; n = n->older)
        if (field_of(n) && is(field_of(n), context))
            first = n;
    if (first && what)
        *what = first->text;
    return first ? field_of(first) : NULL;
}

static bool node_is_place(const struct node *n)
{
    return n->kind == NODE_AGENT || n->kind == NODE_CAPTURE;
}

bool filter_has_places(const struct filter *f)
{
    return has(f, node_is_place, NULL);
}

/* ------------------------------------------------------------------ both */

/* All nodes of `from` become f's. */
static void take_nodes(struct filter *f, struct filter *from)
{
    struct node **oldest = &f->nodes;
    while (*oldest)
        oldest = &(*oldest)->older;
    *oldest = from->nodes;
    f->node_count += from->node_count;
    free(from);
}

/* A root may be any node, or itself stand in a chain: it becomes one of two terms, in a chain of its own. */
static struct node *term_of(struct filter *f, struct node *root)
{
    struct node *n = tree_node(f, NODE_CHAIN);
    if (n)
        n->child = root;
    return n;
}

int filter_join(struct filter *a, struct filter *b, struct filter **out, struct error *e)
{
    bool fits = a->node_count + b->node_count + 3 <= FILTER_NODES_MAX;
    struct node *root = fits ? tree_node(a, NODE_CHAIN) : NULL;
    struct node *left = root ? term_of(a, a->root) : NULL, *right = left ? term_of(b, b->root) : NULL;
    if (!right) {
        filter_free(a);
        filter_free(b);
        return error_set(e, ERROR_LIMIT, "both filters together are too large");
    }
    root->child = left;
    left->next = right;
    a->root = root;
    take_nodes(a, b);
    *out = a;
    return 0;
}
