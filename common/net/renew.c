#include "common/net/renew.h"

#include "common/net/ca_files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool renew_is_due(const struct identity *ours, uint64_t now_ns)
{
    return ours->kind != IDENTITY_NONE && now_ns >= ca_renewal_ns(ours);
}

int renew_request(const char *folder, const struct identity *ours, struct message *m, struct error *e)
{
    struct buffer key = {0}, request = {0};
    *m = (struct message){.type = MESSAGE_ENROLL};
    int r = ca_load(folder, CA_KEY_NAME, &key, e);
    if (r == 0)
        r = ca_new_request(ca_text_of(&key), ours->kind, ours->name, &request, e);
    buffer_u8(&request, 0);
    ca_wipe(&key);
    if (r == 0 && request.failed)
        r = error_set(e, ERROR_MEMORY, "no memory to renew a certificate");
    if (r) {
        buffer_free(&request);
        return r;
    }
    m->enroll.request = (char *)request.data;
    return 0;
}

void renew_request_free(struct message *m)
{
    free(m->enroll.request);
    m->enroll.request = NULL;
}

static int check(const char *folder, const struct identity *ours, struct ca_text certificate, struct error *e)
{
    struct buffer root = {0}, key = {0};
    struct identity made;
    int r = ca_read_certificate(certificate, &made, e);
    if (r == 0 && (made.kind != ours->kind || strcmp(made.name, ours->name) != 0))
        r = error_set(e, ERROR_CONFLICT, "it is that of %s %s", identity_kind_name(made.kind), made.name);
    if (r == 0)
        r = ca_load(folder, CA_KEY_NAME, &key, e);
    if (r == 0)
        r = ca_check_pair(certificate, ca_text_of(&key), e);
    if (r == 0)
        r = ca_load(folder, CA_ROOT_NAME, &root, e);
    if (r == 0)
        r = ca_check_signed(certificate, ca_text_of(&root), e);
    ca_wipe(&key);
    buffer_free(&root);
    return r;
}

/* The collector sends its authority's certificate along. If it is that of ours, renewed, it is kept; no other is, and none is needed. */
static int take_root(const char *folder, const char *ca, struct error *e)
{
    struct buffer known = {0}, now = {0};
    char path[4096];
    int r = ca_load(folder, CA_ROOT_NAME, &known, e);
    bool is_new = r == 0 && ca && (strlen(ca) != known.len || memcmp(ca, known.data, known.len) != 0) &&
                  ca_check_renewed(ca_text_string(ca), ca_text_of(&known), NULL) == 0 &&
                  ca_check_renewed(ca_text_of(&known), ca_text_string(ca), NULL) == 0; /* none of ours would be lost */
    if (is_new && snprintf(path, sizeof path, "%s/" CA_ROOT_NAME, folder) < (int)sizeof path) {
        buffer_append(&now, ca, strlen(ca));
        r = now.failed ? error_set(e, ERROR_MEMORY, "no memory for a certificate") : ca_save(path, &now, e);
    }
    buffer_free(&known);
    buffer_free(&now);
    return r;
}

int renew_take(const char *folder, const struct identity *ours, const struct message_enrolled *m, struct error *e)
{
    char path[4096];
    struct buffer pem = {0};
    if (m->code)
        return error_set(e, m->code, "the collector does not renew the certificate: %s", m->text);
    int r = check(folder, ours, ca_text_string(m->certificate), e);
    if (r) {
        (void)error_prefix(e, "the collector gave a certificate that is none of ours");
        return r;
    }
    if (snprintf(path, sizeof path, "%s/" CA_CERT_NAME, folder) >= (int)sizeof path)
        return error_set(e, ERROR_LIMIT, "the name of the folder %.80s is too long", folder);
    r = take_root(folder, m->ca, e);
    if (r)
        return r;
    buffer_append(&pem, m->certificate, strlen(m->certificate));
    r = pem.failed ? error_set(e, ERROR_MEMORY, "no memory for a certificate") : ca_save(path, &pem, e);
    buffer_free(&pem);
    return r;
}
