/* ring: opening, reading, counting. */
#include "agent/capture/ring.h"
#include "agent/capture/ring_filter.h"
#include "agent/capture/ring_frame.h"
#include "common/base/clock.h"
#include "common/packet/packet.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LINKTYPE_ETHERNET 1

/* The counters that make ps_ifdrop in libpcap. */
static const char *const drop_files[] = {"rx_missed_errors", "rx_fifo_errors"};
#define DROP_FILES (sizeof drop_files / sizeof *drop_files)

struct ring {
    pcap_t *pcap;
    struct pcapng_interface info; /* points to the texts below */
    char name[RING_NAME_MAX];
    char opened_as[RING_NAME_MAX]; /* all that libpcap knows */
    char os[160];
    char *filter_text;
    uint8_t mac[6];
    struct ring_filter filter;
    uint32_t index;      /* the kernel's; 0: any */
    uint32_t frame_back; /* of ring_frame */

    uint64_t kernel_drops;
    uint32_t kernel_last; /* as the 32 bits stood last */
    int drop_fds[DROP_FILES];
    uint64_t interface_first; /* what the interface had dropped before */

    /* Wall clock: from then on the kernel judges by the filter, and libpcap need not; UINT64_MAX: it never does */
    uint64_t filtered_ns;
    uint32_t loopback; /* index of lo, or 0 */

    /* ring_read */
    ring_packets_fn *take;
    void *context;
    struct error *error;
    struct ring_packet waiting[RING_PACKETS];
    size_t waiting_count;
    unsigned given;
    int code;
};

/* ---------------------------------------------------------------- opening */

static int open_failed(const char *name, pcap_t *pcap, int status, struct error *e)
{
    switch (status) {
    case PCAP_ERROR_NO_SUCH_DEVICE:
        return error_set(e, ERROR_NOT_FOUND, "%s: there is no such interface", name);
    case PCAP_ERROR_IFACE_NOT_UP:
        return error_set(e, ERROR_UNREACHABLE, "%s: the interface is down", name);
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        return error_set(e, ERROR_REFUSED, "%s: capturing needs the capability CAP_NET_RAW; run the agent as root",
                         name);
    case PCAP_ERROR:
        return error_set(e, ERROR_SYSTEM, "%s: %s", name, pcap_geterr(pcap));
    default:
        return error_set(e, ERROR_SYSTEM, "%s: %s", name, pcap_statustostr(status));
    }
}

static void set_options(pcap_t *pcap, const struct ring_options *o)
{
    uint32_t snaplen = o->snaplen && o->snaplen < PACKET_SNAPLEN_MAX ? o->snaplen : PACKET_SNAPLEN_MAX;
    (void)pcap_set_snaplen(pcap, (int)snaplen);
    (void)pcap_set_buffer_size(pcap, o->ring_bytes < INT_MAX ? (int)o->ring_bytes : INT_MAX);
    (void)pcap_set_timeout(pcap, RING_RETIRE_MS);
    (void)pcap_set_promisc(pcap, o->promiscuous);
}

/* What libpcap opens by such a name is a packet socket with the ring that we know. */
static int check_ring(const char *name, pcap_t *pcap, struct error *e)
{
    int version = -1;
    socklen_t len = sizeof version;
    if (getsockopt(pcap_fileno(pcap), SOL_PACKET, PACKET_VERSION, &version, &len) == 0 && version == TPACKET_V3)
        return 0;
    return error_set(e, ERROR_UNSUPPORTED, "%s: the kernel has no rings of TPACKET_V3 for it", name);
}

/* While any socket of the host asks for time stamps, the kernel stamps a packet once, before anybody gets it; else each listener stamps for
 * itself, and two captures do not know the same packet again (net_enable_timestamp in net/core/dev.c). The kernel changes its code for that a
 * little later, so the first packets may still differ. */
static void stamp_once(pcap_t *pcap)
{
    int on = 1;
    (void)setsockopt(pcap_fileno(pcap), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
}

static int open_handle(const char *name, const struct ring_options *o, pcap_t **out, struct error *e)
{
    char problem[PCAP_ERRBUF_SIZE] = "";
    pcap_t *pcap = pcap_create(name, problem);
    if (!pcap)
        return error_set(e, ERROR_SYSTEM, "%s: %s", name, problem);
    set_options(pcap, o);
    int code = 0, status = pcap_set_tstamp_precision(pcap, PCAP_TSTAMP_PRECISION_NANO);
    if (status == 0)
        status = pcap_activate(pcap);
    if (status < 0)
        code = open_failed(name, pcap, status, e);
    if (!code)
        code = check_ring(name, pcap, e);
    if (!code && pcap_setnonblock(pcap, 1, problem) != 0)
        code = error_set(e, ERROR_SYSTEM, "%s: %s", name, problem);
    if (!code && strcmp(name, "any") == 0 && pcap_set_datalink(pcap, DLT_LINUX_SLL2) != 0)
        code = error_set(e, ERROR_SYSTEM, "%s: %s", name, pcap_geterr(pcap));
    if (code) {
        pcap_close(pcap);
        return code;
    }
    stamp_once(pcap);
    *out = pcap;
    return 0;
}

/* ---------------------------------------------------------------- what the interface is */

/* Files have other numbers for some link types than handles. */
static uint16_t link_type(int dlt)
{
    switch (dlt) {
    case DLT_ATM_RFC1483:
        return 100;
    case DLT_RAW:
        return 101;
    default:
        return (uint16_t)dlt;
    }
}

static int sys_open(const char *name, const char *file)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/class/net/%s/%s", name, file);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* A number of sysfs; 0 if it has none. */
static uint64_t sys_read(int fd)
{
    char text[32];
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (n <= 0 || text[0] == '-')
        return 0;
    text[n] = 0;
    return strtoull(text, NULL, 10);
}

static uint64_t interface_dropped(const struct ring *r)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < DROP_FILES; i++)
        sum += sys_read(r->drop_fds[i]);
    return sum;
}

static void ask_sys(struct ring *r)
{
    char file[64];
    for (size_t i = 0; i < DROP_FILES; i++) {
        snprintf(file, sizeof file, "statistics/%s", drop_files[i]);
        r->drop_fds[i] = sys_open(r->name, file);
    }
    r->interface_first = interface_dropped(r);
    int fd = sys_open(r->name, "speed");
    r->info.speed_bps = sys_read(fd) * 1000000;
    if (fd >= 0)
        close(fd);
}

static bool put_name(struct ifreq *q, const char *name)
{
    size_t n = strlen(name);
    if (n >= sizeof q->ifr_name)
        return false;
    memcpy(q->ifr_name, name, n + 1);
    return true;
}

static void ask_mac(struct ring *r)
{
    struct ifreq q = {0};
    if (!put_name(&q, r->name) || ioctl(pcap_fileno(r->pcap), SIOCGIFHWADDR, &q) != 0 ||
        q.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return;
    memcpy(r->mac, q.ifr_hwaddr.sa_data, sizeof r->mac);
    r->info.mac = r->mac;
}

static void describe(struct ring *r, const char *filter)
{
    struct utsname u;
    if (uname(&u) == 0)
        snprintf(r->os, sizeof r->os, "%s %s", u.sysname, u.release);
    r->info.name = r->name;
    r->info.os = r->os;
    r->info.filter = filter;
    r->info.link_type = link_type(pcap_datalink(r->pcap));
    r->info.snaplen = (uint32_t)pcap_snapshot(r->pcap);
    if (r->index) {
        ask_mac(r);
        ask_sys(r);
    }
}

static int name_ring(struct ring *r, const char *name, struct error *e)
{
    snprintf(r->name, sizeof r->name, "%s", name);
    snprintf(r->opened_as, sizeof r->opened_as, "%s", name);
    if (strcmp(name, "any") == 0)
        return 0;
    struct ifreq q = {0};
    if (!put_name(&q, name) || ioctl(pcap_fileno(r->pcap), SIOCGIFINDEX, &q) != 0)
        return error_set(e, ERROR_NOT_FOUND, "%s: the interface is gone", name);
    r->index = (uint32_t)q.ifr_ifindex;
    return 0;
}

static int set_filter(struct ring *r, const struct ring_options *o, struct error *e)
{
    int code = ring_filter_make(r->pcap, o->filter, o->companions, o->forbid, &r->filter, e);
    if (!code && pcap_setfilter(r->pcap, &r->filter.kernel) != 0)
        code = error_set(e, ERROR_USAGE, "%s", pcap_geterr(r->pcap));
    /* Asked for 0 instructions, the kernel writes none and says how many there are; sanitizers take that for bytes written. */
    uint8_t none[BPF_MAXINSNS];
    socklen_t instructions = 0;
    bool in_kernel =
        getsockopt(pcap_fileno(r->pcap), SOL_SOCKET, SO_GET_FILTER, none, &instructions) == 0 && instructions > 0;
    r->filtered_ns = in_kernel ? clock_wall_ns() : UINT64_MAX;
    r->loopback = if_nametoindex("lo");
    return code ? error_prefix(e, "%s", r->name) : 0;
}

static int setup(struct ring *r, const char *name, const struct ring_options *o, struct error *e)
{
    int code = name_ring(r, name, e);
    if (!code)
        code = set_filter(r, o, e);
    if (code)
        return code;
    r->filter_text = strdup(o->filter);
    if (!r->filter_text)
        return error_set(e, ERROR_MEMORY, "no memory for the interface %s", name);
    describe(r, r->filter_text);
    return 0;
}

int ring_open(const char *name, const struct ring_options *o, struct ring **out, struct error *e)
{
    *out = NULL;
    if (!name[0] || strlen(name) >= RING_NAME_MAX)
        return error_set(e, ERROR_NOT_FOUND, "'%.80s': there is no such interface", name);
    struct ring *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, ERROR_MEMORY, "no memory for the interface %s", name);
    for (size_t i = 0; i < DROP_FILES; i++)
        r->drop_fds[i] = -1;
    int code = open_handle(name, o, &r->pcap, e);
    if (!code)
        code = setup(r, name, o, e);
    if (code) {
        ring_close(r);
        return code;
    }
    *out = r;
    return 0;
}

void ring_close(struct ring *r)
{
    if (!r)
        return;
    ring_filter_free(&r->filter);
    if (r->pcap)
        pcap_close(r->pcap);
    for (size_t i = 0; i < DROP_FILES; i++)
        if (r->drop_fds[i] >= 0)
            close(r->drop_fds[i]);
    free(r->filter_text);
    free(r);
}

int ring_check(const char *name, const struct ring_options *o, struct error *e)
{
    struct ring_options small = *o;
    struct ring *r;
    small.ring_bytes = 1;
    small.promiscuous = false;
    int code = ring_open(name, &small, &r, e);
    ring_close(r);
    return code;
}

const struct pcapng_interface *ring_interface(const struct ring *r)
{
    return &r->info;
}

int ring_fd(const struct ring *r)
{
    return pcap_get_selectable_fd(r->pcap);
}

/* ---------------------------------------------------------------- reading */

static uint32_t direction(const struct tpacket3_hdr *t)
{
    if (!t)
        return PCAPNG_DIRECTION_UNKNOWN;
    return ring_frame_address(t)->sll_pkttype == PACKET_OUTGOING ? PCAPNG_DIRECTION_OUT : PCAPNG_DIRECTION_IN;
}

/* What the kernel's filter said of the packet, without its companions. */
static bool is_wanted(const struct ring *r, const struct pcap_pkthdr *h, const uint8_t *data,
                      const struct tpacket3_hdr *t)
{
    if (!t || !ring_filter_may_be_companion(r->info.link_type, data, h->caplen))
        return true;
    const struct sockaddr_ll *address = ring_frame_address(t);
    struct bpf_packet p = {
        .data = data,
        .captured = h->caplen,
        .wire = h->len,
        .tagged = r->info.link_type == LINKTYPE_ETHERNET && ring_frame_added(h, t) == 4,
        .tag_at = 12,
        .packet_type = address->sll_pkttype,
        .interface = (uint32_t)address->sll_ifindex,
    };
    return bpf_run(&r->filter.wanted, &p) != 0;
}

static void give(struct ring *r)
{
    size_t n = r->waiting_count;
    r->waiting_count = 0;
    r->given += (unsigned)n;
    if (n)
        r->code = r->take(r->context, r->waiting, n, r->error);
}

/* Whether libpcap calls for the next packet of the block: it passes over what lo, and CAN, send, since they also receive it. */
static bool next_is_given(const struct ring *r, const struct tpacket3_hdr *t)
{
    const struct sockaddr_ll *a = ring_frame_address((const void *)((const uint8_t *)t + t->tp_next_offset));
    return a->sll_pkttype != PACKET_OUTGOING ||
           ((uint32_t)a->sll_ifindex != r->loopback && a->sll_hatype != ARPHRD_CAN);
}

/* Whether the packet's bytes stay where they are until the callback was called for another one: the kernel gets a block back after its last
 * packet, given or not. Besides those above, libpcap does not give what it judges by the filter itself: packets that came before the kernel did. */
static bool stays(const struct ring *r, const struct ring_packet *p, const struct tpacket3_hdr *t)
{
    return t && t->tp_next_offset && p->packet.time_ns > r->filtered_ns && next_is_given(r, t);
}

static void take(u_char *user, const struct pcap_pkthdr *h, const u_char *data)
{
    struct ring *r = (void *)user;
    const struct tpacket3_hdr *t = ring_frame(h, data, &r->frame_back);
    ring_frame_fetch_next(t);
    struct ring_packet *p = &r->waiting[r->waiting_count++];
    *p = (struct ring_packet){
        .packet = {.time_ns = (uint64_t)h->ts.tv_sec * NS_PER_S + (uint64_t)h->ts.tv_usec,
                   .captured = h->caplen,
                   .wire = h->len,
                   .data = data,
                   .flags = direction(t)},
        .wanted = !r->filter.companions || is_wanted(r, h, data, t),
    };
    if (r->waiting_count == RING_PACKETS || !stays(r, p, t))
        give(r);
    if (r->code)
        pcap_breakloop(r->pcap);
}

/* Its name now, and whether it is up; without an index it is always there. */
static int ask_link(const struct ring *r, char name[IFNAMSIZ], bool *up, struct error *e)
{
    struct ifreq q = {.ifr_ifindex = (int)r->index};
    *up = true;
    if (!r->index) {
        memcpy(name, r->name, sizeof "any");
        return 0;
    }
    if (ioctl(pcap_fileno(r->pcap), SIOCGIFNAME, &q) != 0)
        return error_set(e, ERROR_NOT_FOUND, "%s: the interface is gone", r->name);
    memcpy(name, q.ifr_name, IFNAMSIZ);
    if (ioctl(pcap_fileno(r->pcap), SIOCGIFFLAGS, &q) == 0)
        *up = (q.ifr_flags & IFF_UP) != 0;
    return 0;
}

/* There were no packets; `failed` if libpcap says that that is wrong. It does once the interface has gone down and has another name. */
static int look(struct ring *r, bool failed, struct error *e)
{
    char name[IFNAMSIZ];
    bool up;
    int code = ask_link(r, name, &up, e);
    if (code)
        return code;
    if (!up)
        return error_set(e, ERROR_UNREACHABLE, "%s: the interface is down", name);
    if (failed && strcmp(name, r->opened_as) == 0)
        return error_set(e, ERROR_SYSTEM, "%s: %s", name, pcap_geterr(r->pcap));
    return 0;
}

int ring_read(struct ring *r, unsigned most, ring_packets_fn *take_packets, void *context, struct error *e)
{
    r->take = take_packets;
    r->context = context;
    r->error = e;
    r->given = 0;
    r->code = 0;
    int n = pcap_dispatch(r->pcap, most < INT_MAX ? (int)most : INT_MAX, take, (u_char *)r);
    if (!r->code)
        give(r); /* of a block that the kernel does not have back yet */
    if (r->code < 0)
        return r->code;
    return r->given ? (int)r->given : look(r, n < 0, e);
}

/* ---------------------------------------------------------------- counting, names */

void ring_drops(struct ring *r, uint64_t *kernel, uint64_t *interface)
{
    struct pcap_stat s;
    if (pcap_stats(r->pcap, &s) == 0) {
        r->kernel_drops += (uint32_t)(s.ps_drop - r->kernel_last);
        r->kernel_last = s.ps_drop;
    }
    uint64_t now = interface_dropped(r);
    *kernel = r->kernel_drops;
    *interface = now > r->interface_first ? now - r->interface_first : 0;
}

int ring_renamed(struct ring *r)
{
    char name[IFNAMSIZ];
    bool up;
    int code = ask_link(r, name, &up, NULL);
    if (code || strcmp(name, r->name) == 0)
        return code;
    snprintf(r->name, sizeof r->name, "%s", name);
    return 1;
}
