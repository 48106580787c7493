#include "common/net/tls_impl.h"

#include "common/base/fs.h"
#include "common/net/identity_x509.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CA_MAX 16

/* Sets e with what OpenSSL says last, and empties its list of errors. */
static int fail(struct error *e, int code, const char *path, const char *what)
{
    unsigned long last = ERR_peek_last_error();
    const char *reason = last ? ERR_reason_error_string(last) : NULL;
    error_set(e, code, "%s: %s%s%s%s", path, what, reason ? " (" : "", reason ? reason : "", reason ? ")" : "");
    ERR_clear_error();
    return code;
}

/* ------------------------------------------------------------------ files */

/* Whoever can read a key can be us. */
int tls_check_key(const struct stat *st, const char *path, struct error *e)
{
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return error_set(e, ERROR_REFUSED, "%s belongs to user %u: give it to the user that runs this (chown %u %s)",
                         path, st->st_uid, geteuid(), path);
    if (st->st_mode & (S_IRWXG | S_IRWXO))
        return error_set(e, ERROR_REFUSED,
                         "%s can be read by others (mode %03o): make it private (chmod 600 %s), and "
                         "have a new key if somebody may have read it",
                         path, st->st_mode & 0777u, path);
    return 0;
}

/* The file's bytes in malloc'ed memory. */
static int read_file(const char *path, bool is_key, size_t most, char **text, size_t *length, struct error *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
    if (fd < 0)
        return error_sys(e, errno, "cannot read %s", path);
    if (fstat(fd, &st) != 0)
        r = error_sys(e, errno, "cannot read %s", path);
    else if (!S_ISREG(st.st_mode) || st.st_size > (off_t)most)
        r = error_set(e, ERROR_INVALID, "%s is no file of at most %zu bytes", path, most);
    else if (is_key)
        r = tls_check_key(&st, path, e);
    *length = r ? 0 : (size_t)st.st_size;
    *text = r ? NULL : malloc(*length + 1);
    if (r == 0 && !*text)
        r = error_set(e, ERROR_MEMORY, "no memory for %s", path);
    if (r == 0 && (r = fs_pread(fd, *text, *length, 0, e)))
        r = error_prefix(e, "%s", path);
    close(fd);
    return r;
}

/* Never asks at a terminal. */
static int no_phrase(char *buf, int size, int writing, void *context)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

/* Whether no further certificate begins, as against one that is damaged: an authority that is left out would be missed
 * by those who have a certificate of it. */
static bool is_end(void)
{
    unsigned long last = ERR_peek_last_error();
    bool end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (end)
        ERR_clear_error();
    return end;
}

/* Takes what stands in a file into the context. */
typedef int take_fn(struct tls *t, SSL_CTX *c, BIO *bio, const char *path, struct error *e);

static int take_ca(struct tls *t, SSL_CTX *c, BIO *bio, const char *path, struct error *e)
{
    int count = 0;
    bool good = true;
    (void)t;
    for (X509 *x; good && (x = PEM_read_bio_X509(bio, NULL, no_phrase, NULL)); count++) {
        good = count < CA_MAX && X509_STORE_add_cert(SSL_CTX_get_cert_store(c), x) == 1;
        X509_free(x);
    }
    if (!good && count > CA_MAX)
        return error_set(e, ERROR_LIMIT, "%s: more than %d certificates", path, CA_MAX);
    if (!good || count == 0)
        return fail(e, ERROR_INVALID, path, "no certificate of an authority in PEM");
    return is_end() ? 0 : fail(e, ERROR_INVALID, path, "a certificate behind the first cannot be read");
}

static int take_chain(SSL_CTX *c, BIO *bio, const char *path, struct error *e)
{
    int count = 0;
    for (X509 *x; (x = PEM_read_bio_X509(bio, NULL, no_phrase, NULL)); count++)
        if (count >= CA_MAX || SSL_CTX_add0_chain_cert(c, x) != 1) {
            X509_free(x);
            return fail(e, ERROR_INVALID, path, "the certificates behind the first cannot be taken");
        }
    return is_end() ? 0 : fail(e, ERROR_INVALID, path, "a certificate behind the first cannot be read");
}

static int take_cert(struct tls *t, SSL_CTX *c, BIO *bio, const char *path, struct error *e)
{
    X509 *x = PEM_read_bio_X509(bio, NULL, no_phrase, NULL);
    if (!x)
        return fail(e, ERROR_INVALID, path, "no certificate in PEM");
    int r = identity_from_x509(x, &t->identity, e);
    if (r)
        r = error_prefix(e, "%s", path);
    else if (t->kind != IDENTITY_NONE && t->identity.kind != t->kind)
        r = error_set(e, ERROR_INVALID, "%s is the certificate of %s %s, where one of kind %s is needed", path,
                      identity_kind_name(t->identity.kind), t->identity.name, identity_kind_name(t->kind));
    else if (SSL_CTX_use_certificate(c, x) != 1)
        r = fail(e, ERROR_INVALID, path, "that certificate cannot be used");
    X509_free(x);
    return r ? r : take_chain(c, bio, path, e);
}

static int take_key(struct tls *t, SSL_CTX *c, BIO *bio, const char *path, struct error *e)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL);
    if (!key)
        return fail(e, ERROR_INVALID, path, "no private key in PEM, or one with a password, which cannot be asked for");
    int r = 0;
    if (X509_check_private_key(SSL_CTX_get0_certificate(c), key) != 1) {
        ERR_clear_error();
        r = error_set(e, ERROR_CONFLICT, "%s is not the key of %s", path, t->cert);
    } else if (SSL_CTX_use_PrivateKey(c, key) != 1) {
        r = fail(e, ERROR_INVALID, path, "that key cannot be used");
    }
    EVP_PKEY_free(key);
    return r;
}

static void note_end(struct tls *t, X509_CRL *crl)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    uint64_t until_ns = next ? identity_time_ns(next) : UINT64_MAX;
    if (!t->crl_until_ns || until_ns < t->crl_until_ns)
        t->crl_until_ns = until_ns;
}

static int take_crl(struct tls *t, SSL_CTX *c, BIO *bio, const char *path, struct error *e)
{
    X509_STORE *store = SSL_CTX_get_cert_store(c);
    bool good = true;
    t->crl_until_ns = 0;
    for (X509_CRL *crl; good && (crl = PEM_read_bio_X509_CRL(bio, NULL, no_phrase, NULL));) {
        good = X509_STORE_add_crl(store, crl) == 1;
        note_end(t, crl);
        X509_CRL_free(crl);
    }
    if (!good || !t->crl_until_ns || !is_end())
        return fail(e, ERROR_INVALID, path, "a revocation list in PEM cannot be read, or there is none");
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return 0;
}

static int take_file(struct tls *t, SSL_CTX *c, const char *path, take_fn *take, struct error *e)
{
    char *text = NULL;
    size_t length;
    int r = read_file(path, take == take_key, take == take_crl ? TLS_CRL_MAX : TLS_FILE_MAX, &text, &length, e);
    BIO *bio = r ? NULL : BIO_new_mem_buf(text, (int)length);
    if (bio)
        r = take(t, c, bio, path, e);
    else if (r == 0)
        r = error_set(e, ERROR_MEMORY, "no memory for %s", path);
    BIO_free(bio);
    if (text)
        explicit_bzero(text, length);
    free(text);
    return r;
}

/* Those of one authority, renewed or not: whoever knows the hash of one finds it. */
static void add_renewals(SSL_CTX *c)
{
    STACK_OF(X509) *chain = NULL;
    const STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(c));
    X509 *root = SSL_CTX_get0_chain_certs(c, &chain) == 1 && sk_X509_num(chain) > 0
                     ? sk_X509_value(chain, sk_X509_num(chain) - 1)
                     : NULL;
    for (int i = 0; root && i < sk_X509_OBJECT_num(all); i++) {
        X509 *x = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        if (x && X509_cmp(x, root) != 0 && EVP_PKEY_eq(X509_get0_pubkey(x), X509_get0_pubkey(root)) == 1)
            (void)SSL_CTX_add1_chain_cert(c, x);
    }
}

/* A collector sends the CA along, for those who know only its hash. */
static void complete_chain(const struct tls *t, SSL_CTX *c)
{
    int flags = SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR | SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR | SSL_BUILD_CHAIN_FLAG_UNTRUSTED;
    if (t->identity.kind == IDENTITY_COLLECTOR)
        (void)SSL_CTX_build_cert_chain(c, flags);
    if (t->identity.kind == IDENTITY_COLLECTOR)
        add_renewals(c);
    ERR_clear_error();
}

static int take_files(struct tls *t, SSL_CTX *c, struct error *e)
{
    int r = take_file(t, c, t->cert, take_cert, e);
    if (r == 0)
        r = take_file(t, c, t->ca, take_ca, e);
    if (r == 0)
        r = take_file(t, c, t->key, take_key, e);
    if (r == 0)
        complete_chain(t, c);
    if (r == 0 && t->crl && !(t->crl_may_lack && access(t->crl, F_OK) != 0 && errno == ENOENT))
        r = take_file(t, c, t->crl, take_crl, e);
    return r;
}

/* ------------------------------------------------------------------ life */

static int load(struct tls *t, struct error *e)
{
    SSL_CTX *c = NULL;
    struct identity before = t->identity;
    uint64_t crl_before_ns = t->crl_until_ns;
    t->crl_until_ns = 0;
    int r = tls_context_new(t, &c, e);
    if (r == 0 && !t->joining)
        r = take_files(t, c, e);
    if (r) {
        t->identity = before;
        t->crl_until_ns = crl_before_ns;
        SSL_CTX_free(c);
        return r;
    }
    SSL_CTX_free(t->context);
    t->context = c;
    return 0;
}

static int finish(struct tls *t, struct tls **out, struct error *e)
{
    int r = load(t, e);
    if (r) {
        tls_unref(t);
        return r;
    }
    *out = t;
    return 0;
}

int tls_load(const struct tls_files *files, int kind, struct tls **out, struct error *e)
{
    struct tls *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(e, ERROR_MEMORY, "no memory for certificates");
    *t = (struct tls){.refs = 1, .kind = kind, .crl_may_lack = files->crl_may_lack};
    t->ca = strdup(files->ca);
    t->cert = strdup(files->cert);
    t->key = strdup(files->key);
    t->crl = files->crl ? strdup(files->crl) : NULL;
    if (t->ca && t->cert && t->key && (t->crl || !files->crl))
        return finish(t, out, e);
    tls_unref(t);
    return error_set(e, ERROR_MEMORY, "no memory for certificates");
}

int tls_load_folder(const char *folder, int kind, struct tls **out, struct error *e)
{
    char ca[4096], cert[4096], key[4096], crl[4096];
    struct tls_files files = {.ca = ca, .cert = cert, .key = key, .crl = crl, .crl_may_lack = true};
    if (strlen(folder) > sizeof ca - 16)
        return error_set(e, ERROR_USAGE, "%.80s...: too long a name of a folder", folder);
    snprintf(ca, sizeof ca, "%s/%s", folder, TLS_CA_NAME);
    snprintf(cert, sizeof cert, "%s/%s", folder, TLS_CERT_NAME);
    snprintf(key, sizeof key, "%s/%s", folder, TLS_KEY_NAME);
    snprintf(crl, sizeof crl, "%s/%s", folder, TLS_CRL_NAME);
    return tls_load(&files, kind, out, e);
}

int tls_for_joining(const uint8_t ca_sha256[32], struct tls **out, struct error *e)
{
    struct tls *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(e, ERROR_MEMORY, "no memory for certificates");
    *t = (struct tls){.refs = 1, .joining = true};
    memcpy(t->ca_sha256, ca_sha256, sizeof t->ca_sha256);
    return finish(t, out, e);
}

int tls_reload(struct tls *t, struct error *e)
{
    return t->joining ? 0 : load(t, e);
}

uint64_t tls_crl_until_ns(const struct tls *t)
{
    return t->crl_until_ns;
}

const struct identity *tls_identity(const struct tls *t)
{
    return &t->identity;
}

struct tls *tls_ref(struct tls *t)
{
    if (t)
        t->refs++;
    return t;
}

void tls_unref(struct tls *t)
{
    if (!t || --t->refs)
        return;
    SSL_CTX_free(t->context);
    free(t->ca);
    free(t->cert);
    free(t->key);
    free(t->crl);
    free(t);
}
