/*
 * message_shape: every field of every message, declared once: where it stands in the plain struct and in the protobuf
 * one, and what it may hold. message.c walks these tables in both directions. For common/net alone.
 */
#ifndef FLEETDUMP_NET_MESSAGE_SHAPE_H
#define FLEETDUMP_NET_MESSAGE_SHAPE_H

#include "common/net/message.h"
#include <protobuf-c/protobuf-c.h>

enum field_kind {
    FIELD_U8,      /* uint8_t       <-> uint32, within least..most */
    FIELD_U32,     /* uint32_t      <-> uint32, within least..most */
    FIELD_I32,     /* int32_t       <-> sint32 */
    FIELD_U64,     /* uint64_t      <-> uint64, fixed64 */
    FIELD_FLAG,    /* uint8_t       <-> bool */
    FIELD_ID,      /* uint8_t[16]   <-> bytes, 16 of them (with least 0 also none: all 0) */
    FIELD_ADDRESS, /* uint8_t[16]   <-> bytes, as many as the family, the field before it, has */
    FIELD_NAME,    /* char *        <-> string of at most `most` bytes: UTF-8 without control characters */
    FIELD_TEXT,    /* as NAME, and ends of line may be in it; what is not that is replaced by '?' when it is sent */
    FIELD_LINES,   /* as NAME, and tabs and ends of line may be in it */
    FIELD_DATA,    /* const uint8_t * and its length (count_at) <-> bytes, least..most of them */
    FIELD_NAMES,   /* char ** and their count <-> repeated string, at most NET_STRINGS_MAX, each as NAME */
    FIELD_ONE,     /* struct * and its count, 0 or 1 <-> message of `shape`, or none */
    FIELD_LIST,    /* struct * and their count <-> repeated message of `shape`, at most `most` */
};

struct message_field {
    const char *name;
    enum field_kind kind;
    size_t at;       /* in the plain struct */
    size_t count_at; /* of the uint32_t beside it: DATA, NAMES, LIST */
    size_t wire_at;  /* in the protobuf struct; of the count, for NAMES and LIST, which stands before the pointer */
    size_t wire_list_at;
    uint64_t least, most;
    const struct message_shape *shape; /* LIST */
};

struct message_shape {
    const char *name;
    const ProtobufCMessageDescriptor *wire;
    size_t size;                        /* of the plain struct */
    const struct message_field *fields; /* ends with a NULL name */
    /* A rule over several fields: NULL, or returns what is wrong, or NULL. */
    const char *(*check)(const void *plain);
};

/* By enum message_type; NULL for numbers that are none. */
const struct message_shape *message_shape(int type);

/* That of a capture_request. */
const struct message_shape *message_request_shape(void);

#endif
