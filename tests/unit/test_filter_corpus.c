/*
 * The filters of libpcap's own tests on the captures they are meant for (libpcap/oracle/filter_apply.tsv of the
 * corpus): which packets match is known. Where our view of packets gives another answer,
 * tests/data/filter-exceptions.tsv says why.
 */
#include "common/base/fs.h"
#include "common/filter/capture_filter.h"
#include "common/filter/filter.h"
#include "tests/unit/support.h"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MAX   (4u << 20)
#define PACKETS_MAX 64

struct lines {
    char *text;
    char *next;
};

static void open_lines(struct lines *t, const char *folder, const char *name)
{
    size_t len;
    struct error e = ERROR_INIT;
    if (fs_read_file(AT_FDCWD, support_path(folder, name), TABLE_MAX, &t->text, &len, &e) != 0)
        fail_msg("%s", e.text);
    t->next = t->text;
}

/* The next line's columns; false at the end. */
static bool next_row(struct lines *t, char **columns, unsigned count)
{
    char *line = strsep(&t->next, "\n");
    if (!line || !*line)
        return false;
    for (unsigned i = 0; i < count; i++) {
        char *column = line ? strsep(&line, "	") : NULL;
        columns[i] = column ? column : strchr(columns[0], 0);
    }
    return true;
}

/* The capture that the oracle calls so: ORACLES.tsv says "rows with savefile=NAME;". */
static bool find_capture(const char *corpus, const char *savefile, char *path, size_t size)
{
    struct lines t;
    char *columns[5], wanted[256];
    bool found = false;
    snprintf(wanted, sizeof wanted, "savefile=%s;", savefile);
    open_lines(&t, corpus, "ORACLES.tsv");
    while (!found && next_row(&t, columns, 5)) {
        found = strcmp(columns[1], "libpcap/oracle/filter_apply.tsv") == 0 && strstr(columns[4], wanted);
        if (found)
            snprintf(path, size, "%s/%s", corpus, columns[0]);
    }
    free(t.text);
    return found;
}

static bool is_exception(const char *name)
{
    struct lines t;
    char *columns[2];
    bool found = false;
    open_lines(&t, FLEETDUMP_TEST_DATA, "filter-exceptions.tsv");
    while (!found && next_row(&t, columns, 2)) {
        found = strcmp(columns[0], name) == 0;
        if (found && !*columns[1])
            fail_msg("%s: an exception without a reason", name);
    }
    free(t.text);
    return found;
}

struct oracle {
    const char *name, *expression;
    bool wanted[PACKETS_MAX];
    unsigned count;
};

static void read_results(struct oracle *o, char *results)
{
    o->count = 0;
    for (char *one; (one = strsep(&results, ",")) && o->count < PACKETS_MAX;)
        o->wanted[o->count++] = strtoul(one, NULL, 10) != 0;
}

/* What one judge says of each packet; `able` is false if it cannot compile or judge. */
struct verdicts {
    bool able;
    bool match[PACKETS_MAX];
};

struct outcome {
    unsigned packets;
    struct verdicts system, capture, filter; /* this system's libpcap; ours */
    struct error e;
};

static void judge_packet(const struct oracle *o, const struct packet *p, struct bpf_program *program,
                         struct capture_filter *c, struct filter *f, struct outcome *out)
{
    unsigned i = out->packets;
    struct pcap_pkthdr h = {.caplen = p->captured, .len = p->wire};
    if (out->system.able)
        out->system.match[i] = pcap_offline_filter(program, &h, p->data) != 0;
    if (out->capture.able)
        out->capture.match[i] = capture_filter_match(c, p->data, p->captured, p->wire);
    if (out->filter.able)
        out->filter.able = filter_packet(f, p, NULL, &out->filter.match[i], &out->e) == 0;
    assert_true(i < o->count);
}

static void judge(const char *path, const struct oracle *o, struct outcome *out)
{
    char problem[PCAP_ERRBUF_SIZE];
    pcap_t *pcap = pcap_open_offline(path, problem);
    if (!pcap)
        fail_msg("%s: %s", path, problem);
    int link_type = pcap_datalink(pcap);
    struct bpf_program program = {0};
    struct capture_filter *c = NULL;
    struct filter *f = NULL;
    *out = (struct outcome){0};
    out->system.able = pcap_compile(pcap, &program, o->expression, 0, PCAP_NETMASK_UNKNOWN) == 0;
    out->capture.able = capture_filter_new(o->expression, link_type, 262144, &c, NULL) == 0;
    out->filter.able = filter_compile(o->expression, NULL, &f, &out->e) == 0;
    struct pcap_pkthdr *h;
    const u_char *data;
    for (; out->packets < o->count && pcap_next_ex(pcap, &h, &data) == 1; out->packets++) {
        struct packet p;
        packet_decode(link_type, data, h->caplen, h->len, &p);
        judge_packet(o, &p, &program, c, f, out);
    }
    pcap_freecode(&program);
    capture_filter_free(c);
    filter_free(f);
    pcap_close(pcap);
}

static bool agree(const struct verdicts *v, const bool *wanted, unsigned count)
{
    return v->able && memcmp(v->match, wanted, count * sizeof *wanted) == 0;
}

/* A capture's filter is this system's libpcap. Any other is as the oracle says, or as this libpcap, which is older
 * than some of its tests. */
static bool judge_outcome(const struct oracle *o, const struct outcome *out)
{
    const struct verdicts *system = &out->system;
    bool capture_right = system->able ? agree(&out->capture, system->match, o->count) : !out->capture.able;
    bool filter_right = agree(&out->filter, o->wanted, o->count) ||
                        (system->able ? agree(&out->filter, system->match, o->count) : !out->filter.able);
    bool exception = is_exception(o->name);
    if (out->packets == o->count && capture_right && filter_right != exception)
        return true;
    print_error("%s '%s': %u of %u packets; capture filter %s; filter %s %s\n", o->name, o->expression, out->packets,
                o->count, capture_right ? "right" : "wrong", filter_right ? "right" : "wrong",
                exception ? "and an exception" : out->e.text);
    return false;
}

static void the_filters_of_libpcap_s_tests(void **state)
{
    (void)state;
    const char *corpus = support_corpus();
    struct lines t;
    char *columns[6], path[1024];
    unsigned filters = 0, as_oracle = 0, wrong = 0;
    open_lines(&t, corpus, "libpcap/oracle/filter_apply.tsv");
    (void)next_row(&t, columns, 6);
    while (next_row(&t, columns, 6)) {
        struct oracle o = {.name = columns[0], .expression = columns[2]};
        struct outcome out;
        if (*columns[3] || strstr(columns[4], "skip_no_hosts") || !find_capture(corpus, columns[1], path, sizeof path))
            continue; /* needs a network's mask, or names of hosts, or a capture that is not there */
        read_results(&o, columns[5]);
        judge(path, &o, &out);
        filters++;
        as_oracle += agree(&out.filter, o.wanted, o.count);
        wrong += !judge_outcome(&o, &out);
    }
    free(t.text);
    print_message("%u filters, %u judge as the oracle says\n", filters, as_oracle);
    assert_in_range(filters, 90, 1000);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_filters_of_libpcap_s_tests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
