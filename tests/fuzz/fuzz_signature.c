/* A signature's length (one byte), the signature, the bytes of a request: by a host that trusts the key of 32 zeros and an organisation with the same. */
#include "common/net/signature.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void verify(const uint8_t *bytes, size_t count, const uint8_t *signature, size_t length)
{
    static struct signature_trusted trusted[2];
    const struct signature_operators o = {trusted, 2};
    static const char file[] = "fleetdump-key 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    struct signature_key k;
    struct error e = ERROR_INIT;
    char who[SIGNATURE_NAME_MAX + 1];
    if (signature_key_read(file, strlen(file), &k, &e))
        abort();
    for (size_t i = 0; i < 2; i++) {
        trusted[i] = (struct signature_trusted){.organisation = i == 1, .name = "alice"};
        memcpy(trusted[i].key, k.key, sizeof k.key);
    }
    int r = signature_verify(&o, SIGNATURE_ORDER | SIGNATURE_CHECK, bytes, count, signature, length, 1, who, &e);
    if (r == 0 ? !signature_name_is_good(who) : who[0] || !e.text[0])
        abort();
}

static void decode(const uint8_t *bytes, size_t count)
{
    struct message m;
    struct error e = ERROR_INIT;
    struct buffer again = {.limit = NET_FRAME_MAX};
    if (message_decode_request(bytes, count, &m, &e)) {
        if (!e.text[0])
            abort();
        return;
    }
    if (message_encode_request(m.check.request, &again, &e) || again.len != count ||
        memcmp(again.data, bytes, count) != 0)
        abort();
    buffer_free(&again);
    message_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t length = len ? data[0] : 0;
    if (len == 0 || len - 1 < length)
        return 0;
    verify(data + 1 + length, len - 1 - length, data + 1, length);
    decode(data + 1 + length, len - 1 - length);
    return 0;
}
