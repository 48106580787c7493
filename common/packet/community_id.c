/* community_id: SHA-1 over the ordered endpoints, as the specification's "Technical details" lay out the bytes. */
#include "common/packet/community_id.h"
#include "common/packet/decode.h"
#include <openssl/evp.h>
#include <string.h>

#define SHA1_SIZE 20

struct input {
    uint8_t bytes[2 + 16 + 16 + 2 + 4];
    size_t len;
};

static void add(struct input *in, const void *data, size_t len)
{
    memcpy(in->bytes + in->len, data, len);
    in->len += len;
}

static void add16(struct input *in, uint16_t v)
{
    uint8_t be[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    add(in, be, sizeof be);
}

/* Ports or what stands for them are part of the id for these alone. */
static bool ported(uint8_t proto)
{
    return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP || proto == PROTO_ICMP ||
           proto == PROTO_ICMP6;
}

static bool ports_known(const struct flow_key *key)
{
    if (key->proto == PROTO_ICMP || key->proto == PROTO_ICMP6)
        return key->port[0] || key->port[1];
    return key->has_ports;
}

bool community_id(const struct flow_key *key, uint16_t seed, char out[COMMUNITY_ID_SIZE])
{
    bool ip = key->ethertype == ETHERTYPE_IP4 || key->ethertype == ETHERTYPE_IP6;
    bool with_ports = ported(key->proto);
    size_t addr = key->family == FAMILY_IP6 ? 16 : 4;
    struct input in = {.len = 0};
    uint8_t digest[EVP_MAX_MD_SIZE], protocol[2] = {key->proto, 0};

    out[0] = '\0';
    if (!ip || (key->family != FAMILY_IP4 && key->family != FAMILY_IP6) || (with_ports && !ports_known(key)))
        return false;
    add16(&in, seed);
    add(&in, key->addr[0], addr);
    add(&in, key->addr[1], addr);
    add(&in, protocol, sizeof protocol);
    if (with_ports) {
        add16(&in, key->port[0]);
        add16(&in, key->port[1]);
    }
    if (EVP_Digest(in.bytes, in.len, digest, NULL, EVP_sha1(), NULL) != 1)
        return false;
    memcpy(out, "1:", 2);
    (void)EVP_EncodeBlock((unsigned char *)out + 2, digest, SHA1_SIZE);
    return true;
}

bool community_id_valid(const char *text)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char last[] = "AEIMQUYcgkosw048"; /* 20 bytes leave two bits of the last character zero */
    if (strncmp(text, "1:", 2) != 0 || strspn(text + 2, base64) != 27)
        return false;
    return strchr(last, text[28]) != NULL && strcmp(text + 29, "=") == 0;
}
