/*
 * ssh: the version line that each side begins with (RFC 4253, 4.2): "SSH-2.0-OpenSSH_9.2p1 Debian-2".
 *
 * A server may say other lines before it; at most SSH_LINES_MAX are gone past, none longer than SSH_LINE_MAX.
 */
#ifndef FLEETDUMP_APP_SSH_H
#define FLEETDUMP_APP_SSH_H

#include "common/app/read.h"
#include "common/app/text.h"

#define SSH_LINE_MAX  255u /* with its CR LF */
#define SSH_LINES_MAX 16u

/* Reads a direction from its first byte on. WHOLE: the line, without its end, was added to `out`, printable. CUT: no
 * end of line yet, come again with more; nothing was added. INVALID: another line than SSH's is too long, or there are
 * too many. */
enum app_read ssh_version(const void *data, size_t len, struct app_text *out);

#endif
