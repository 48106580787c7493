#include "collector/cli/sign.h"

#include "collector/cli/home.h"
#include "common/net/tls.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* `path`, or that of the user's file of this name. */
static int path_of(const char *path, const char *name, char buf[HOME_PATH_MAX], const char **out, struct error *e)
{
    *out = path ? path : buf;
    return path ? 0 : home_path(name, buf, e);
}

bool sign_who(bool certified, char name[HEAD_NAME_MAX + 1])
{
    char folder[HOME_PATH_MAX];
    struct tls *tls = NULL;
    struct error e = ERROR_INIT;
    bool found = certified && home_path("", folder, &e) == 0 && tls_load_folder(folder, IDENTITY_USER, &tls, &e) == 0;
    const struct passwd *user = found ? NULL : getpwuid(geteuid());
    snprintf(name, HEAD_NAME_MAX + 1, "%s", found ? tls_identity(tls)->name : user ? user->pw_name : "nobody");
    tls_unref(tls);
    return found;
}

int sign_key_load(const char *path, struct signature_key *k, struct error *e)
{
    char buf[HOME_PATH_MAX], *text = NULL;
    size_t len = 0;
    int r = path_of(path, SIGN_KEY_FILE, buf, &path, e);
    if (r == 0)
        r = home_read(path, true, SIGNATURE_FILE_MAX, &text, &len, e);
    if (r == 0 && (r = signature_key_read(text, len, k, e)))
        (void)error_prefix(e, "%s", path);
    if (text)
        explicit_bzero(text, len);
    free(text);
    return r;
}

int sign_key_make(const char *path, struct signature_key *k, struct error *e)
{
    char buf[HOME_PATH_MAX];
    struct buffer text = {.limit = SIGNATURE_FILE_MAX};
    int r = path ? 0 : home_make(e);
    if (r == 0)
        r = path_of(path, SIGN_KEY_FILE, buf, &path, e);
    if (r == 0)
        r = signature_key_new(k, e);
    if (r)
        return r;
    signature_key_write(k, &text);
    r = text.failed ? error_set(e, ERROR_MEMORY, "no memory for a key") : home_write_new(path, text.data, text.len, e);
    if (text.data)
        explicit_bzero(text.data, text.len);
    buffer_free(&text);
    return r;
}

/* 1: there is none. */
static int load_certificate(struct signature_certificate *c, struct error *e)
{
    char path[HOME_PATH_MAX], *text = NULL;
    size_t len = 0;
    int r = home_path(SIGN_CERTIFICATE_FILE, path, e);
    if (r == 0)
        r = home_read(path, false, SIGNATURE_FILE_MAX, &text, &len, e);
    if (r == 0 && (r = signature_certificate_read(text, len, c, e)))
        (void)error_prefix(e, "%s", path);
    free(text);
    return r == ERROR_NOT_FOUND ? 1 : r;
}

static int sign(const struct signature_key *k, enum signature_purpose purpose, struct capture_request *r,
                uint8_t signature[REQUEST_SIGNATURE_MAX], struct error *e)
{
    struct signature_certificate c;
    struct buffer bytes = {.limit = NET_FRAME_MAX};
    int certified = load_certificate(&c, e);
    int code = certified < 0 ? certified : message_encode_request(r, &bytes, e);
    if (!code && bytes.len > REQUEST_SIGNED_MAX)
        code = error_set(e, ERROR_LIMIT,
                         "the request has %zu bytes, and hosts take signed ones of up to %u: name agents by patterns "
                         "(--on 'web-*') or labels (-l role=web) instead of one by one, or shorten the filter",
                         bytes.len, REQUEST_SIGNED_MAX);
    if (!code)
        code = signature_sign(k, certified == 0 ? &c : NULL, purpose, bytes.data, bytes.len, signature,
                              &r->signature_length, e);
    r->signature = signature;
    buffer_free(&bytes);
    return code;
}

int sign_request(enum signature_purpose purpose, char *name, struct capture_request *r,
                 uint8_t signature[REQUEST_SIGNATURE_MAX], struct error *e)
{
    struct signature_key k;
    char path[HOME_PATH_MAX];
    if (home_path("", path, NULL)) /* nobody's files: nobody's key */
        return 0;
    int code = sign_key_load(NULL, &k, e);
    if (code == ERROR_NOT_FOUND)
        return 0;
    if (!code && (!r->name || !r->name[0]))
        r->name = name;
    if (!code)
        code = sign(&k, purpose, r, signature, e);
    explicit_bzero(&k, sizeof k);
    return code;
}
