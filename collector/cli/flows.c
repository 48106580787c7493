/*
 * fleetdump flows: connections, one line each, or sums over groups of them.
 */
#include "collector/cli/rows.h"

static bool has(const struct rows_kind *k, const struct field *f)
{
    (void)k;
    return field_is_of_flows(f);
}

/* Whether the values of several flows make one of the group: sums, extremes, sets. The others are only those of one of its flows. */
static bool adds_up(const struct field *field)
{
    static const bool adds[] = {[MERGE_SUM] = true, [MERGE_MIN] = true, [MERGE_MAX] = true, [MERGE_OR] = true};
    for (unsigned i = 0; i < table_flow.count; i++) {
        const struct column *c = &table_flow.columns[i];
        if (column_has(&field->needs, c->id) && c->id != FLOW_ORIGINATOR &&
            (c->merge >= sizeof adds / sizeof adds[0] || !adds[c->merge]))
            return false;
    }
    return true;
}

static const struct rows_kind kind = {
    .command = &command_flows,
    .query = QUERY_FLOWS,
    .what = "flows",
    .selected = "selected_flows",
    .single = {.narrow = "time,client,server,state,duration,bytes,agent", /* IPv4 addresses fit into 80 columns */
               .table = "time,client,server,proto,state,duration,packets,bytes,agent",
               .wide = "time,id,agent,interface,capture,client,server,proto,vlan,state,history,duration,packets,bytes,"
                       "payload,orig_packets,resp_packets,orig_bytes,resp_bytes,loss,icmp_errors,end_reason,"
                       "originator_by,community_id"},
    .groups = "flows,packets,bytes",
    .has = has,
    .adds_up = adds_up,
};

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    return rows_run(&kind, argc, argv, cli, e);
}

static const struct argp argp = {NULL,
                                 rows_parse,
                                 "[FILTER]",
                                 "Connections, one line each, or sums over groups of them.\v"
                                 "Examples:\n"
                                 "  fleetdump flows 'from 10.0.0.5 and to port 80' --since 15m\n"
                                 "  fleetdump flows 'state S0 or refused' --by server --top 10\n"
                                 "  fleetdump flows 'bytes > 10M' --sort -bytes -o json\n"
                                 "  fleetdump flows 'sni *.example.org and external' --by sni,ja4\n"
                                 "  fleetdump flows --capture monday -o csv --columns time,client,server,bytes\n"
                                 "  fleetdump flows --columns          # all columns, with unit and meaning\n\n"
                                 "`fleetdump help filter` lists the words of filters.\n",
                                 rows_children,
                                 NULL,
                                 NULL};

const struct command command_flows = {
    .name = "flows",
    .summary = "connections, one line each",
    .argp = &argp,
    .run = run,
    .column = rows_column,
    .columns_of = &kind,
};
