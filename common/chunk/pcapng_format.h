/* The numbers of pcapng that only its writer and reader need. */
#ifndef FLEETDUMP_CHUNK_PCAPNG_FORMAT_H
#define FLEETDUMP_CHUNK_PCAPNG_FORMAT_H

#define BYTE_ORDER_MAGIC 0x1a2b3c4du

enum {
    OPTION_END = 0,
    OPTION_COMMENT = 1,
    SHB_HARDWARE = 2,
    SHB_OS = 3,
    SHB_APPLICATION = 4,
    IDB_NAME = 2,
    IDB_DESCRIPTION = 3,
    IDB_MAC = 6,
    IDB_SPEED = 8,
    IDB_TSRESOL = 9,
    IDB_FILTER = 11,
    IDB_OS = 12,
    IDB_TSOFFSET = 14,
    EPB_FLAGS = 2,
    EPB_DROPCOUNT = 4,
    EPB_PACKET_ID = 5,
    PB_FLAGS = 2,
    ISB_START = 2,
    ISB_END = 3,
    ISB_RECEIVED = 4,
    ISB_DROPPED = 5,
    ISB_OS_DROPPED = 7,
};

#endif
