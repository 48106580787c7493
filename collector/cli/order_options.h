/*
 * order_options: what is to be captured where, as said on the command line, made into a capture_request.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_ORDER_OPTIONS_H
#define FLEETDUMP_COLLECTOR_CLI_ORDER_OPTIONS_H

#include "collector/cli/client.h"
#include "collector/cli/sign.h"
#include "common/base/clock.h"

#define ORDER_SNAPLEN_DEFAULT 262144u
#define ORDER_FOR_DEFAULT_NS  (60 * NS_PER_S)
#define ORDER_BYTES_DEFAULT   (UINT64_C(1) << 30)
#define ORDER_WHO_MAX         256u

struct order_options {
    char *filter; /* all words of the command line, joined; owned, as the lists */
    char **on, **labels, **interfaces;
    uint32_t on_count, label_count, interface_count;
    bool all;
    uint64_t snaplen, cutoff, packets, bytes, rate, for_ns; /* 0: no limit */
    bool bytes_said;
    bool partial; /* of the command that starts it */
    const char *start_at, *name;
    uint8_t keep; /* enum capture_keep */
    bool no_companions;
};

/* As it begins. */
#define ORDER_OPTIONS_INIT                                                                                             \
    {                                                                                                                  \
        .snaplen = ORDER_SNAPLEN_DEFAULT, .bytes = ORDER_BYTES_DEFAULT, .for_ns = ORDER_FOR_DEFAULT_NS                 \
    }

/* --on, -l, -A, -i, -s, --cutoff, -c, --for, --bytes, --rate, --keep, --name, --start-at, --no-icmp-errors and the
 * filter's words; input is the struct order_options. */
extern const struct argp order_argp;
void order_options_free(struct order_options *o);

/* A request, with what it points to. */
struct order_request {
    struct capture_request request;
    char *filter; /* addresses in place of names; owned */
    char who[ORDER_WHO_MAX];
    char name[9]; /* if none was said: that of a signed one cannot be the collector's choice */
    uint8_t signature[REQUEST_SIGNATURE_MAX];
};

/* With `certified` the name in the user's certificate; without one "user@host", of this process (who stops something is
 * known to the collector anyway). Returns buf, of ORDER_WHO_MAX bytes. */
char *order_who(bool certified, char *buf);

/* What is wrong with filter and times, as far as that is known without the collector. */
MUST_CHECK int order_request_check(const struct order_options *o, struct error *e);

/* Makes the request, signed for this purpose if the user has a key; nothing is sent but a question for the agents. A
 * selector that means none of those that the collector knows is ERROR_NOT_FOUND, with near names. Notes say which
 * addresses were taken for names. */
MUST_CHECK int order_request_make(const struct cli *cli, struct client *client, const struct order_options *o,
                                  enum signature_purpose purpose, struct order_request *out, struct error *e);
void order_request_free(struct order_request *r);

#endif
