/* eval_packet: packets, exactly. */
#include "common/filter/eval.h"

static void show_net(struct view *v, const struct packet_net *net)
{
    v->addr[0] = net->addr[0];
    v->addr[1] = net->addr[1];
    v->port[0] = net->port[0];
    v->port[1] = net->port[1];
    v->family = net->family;
    v->proto = net->proto;
    v->has_ports = net->has_ports;
}

struct view eval_outer_view(const struct view *v)
{
    const struct packet_net *net = &v->packet->outer;
    struct view outer = *v;
    show_net(&outer, net);
    outer.ethertype = net->family == FAMILY_IP6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4;
    outer.tunnel = TUNNEL_NONE;
    outer.tunnel_id = 0;
    outer.outermost = true;
    return outer;
}

enum truth eval_packet_word(const struct node *n, struct view *v)
{
    if (n->kind == NODE_MPLS)
        return v->packet->mpls ? TRUTH_YES : TRUTH_NO;
    enum pcap_verdict verdict = PCAP_NO;
    /* What is compiled is kept in the node: the filter of filter_packet is not const. */
    v->code = pcap_word_match((struct node *)n, v->packet, v->outermost, &verdict, v->e);
    v->stopped = v->code != 0 || verdict == PCAP_REJECTED;
    return verdict == PCAP_YES ? TRUTH_YES : TRUTH_NO;
}

int filter_packet(struct filter *f, const struct packet *p, const struct flow_row *flow, bool *match, struct error *e)
{
    struct view v = {
        .scope = SCOPE_PACKET,
        .flow = flow,
        .ethertype = p->ethertype,
        .vlan = {p->vlan[0], p->vlan[1]},
        .tunnel_id = p->tunnel_id,
        .tunnel = (uint8_t)p->tunnel,
        .packet = p,
        .e = e,
    };
    if (v.ethertype == 0) /* as in the flow's key */
        v.ethertype = p->lsap >> 8;
    show_net(&v, &p->net);
    enum truth t = eval(f->root, &v);
    *match = t == TRUTH_YES && !v.stopped;
    return v.code;
}
