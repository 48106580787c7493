/* names: protocols, link types and addresses as text. */
#include "common/packet/decode.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct name {
    unsigned value;
    const char *text;
};

/* IP protocols, by the words of tcpdump's filters where it has them. */
static const struct name protocols[] = {
    {1, "icmp"},       {2, "igmp"},      {4, "ipip"},     {6, "tcp"},    {8, "egp"},    {9, "igrp"},
    {17, "udp"},       {33, "dccp"},     {41, "6in4"},    {46, "rsvp"},  {47, "gre"},   {50, "esp"},
    {51, "ah"},        {58, "icmp6"},    {59, "none"},    {88, "eigrp"}, {89, "ospf"},  {97, "etherip"},
    {103, "pim"},      {108, "ipcomp"},  {112, "vrrp"},   {115, "l2tp"}, {124, "isis"}, {132, "sctp"},
    {135, "mobility"}, {136, "udplite"}, {137, "mplsip"}, {139, "hip"},  {140, "shim6"}};

/* Ethertypes; below 0x100 the service access points of LLC. */
static const struct name ethertypes[] = {
    {0x06, "llc-ip"},  {0x42, "stp"},    {0xaa, "snap"},     {0xe0, "ipx"},        {0xf0, "netbeui"},
    {0xfe, "iso"},     {0xff, "ipx"},    {0x0800, "ip"},     {0x0806, "arp"},      {0x22f3, "trill"},
    {0x6558, "teb"},   {0x8035, "rarp"}, {0x809b, "atalk"},  {0x80f3, "aarp"},     {0x8100, "vlan"},
    {0x8137, "ipx"},   {0x86dd, "ip6"},  {0x8808, "pause"},  {0x8809, "slow"},     {0x880b, "ppp"},
    {0x8847, "mpls"},  {0x8848, "mpls"}, {0x8863, "pppoed"}, {0x8864, "pppoes"},   {0x8892, "profinet"},
    {0x888e, "eapol"}, {0x88a8, "qinq"}, {0x88b8, "goose"},  {0x88cc, "lldp"},     {0x88e5, "macsec"},
    {0x88f7, "ptp"},   {0x8902, "cfm"},  {0x8906, "fcoe"},   {0x9000, "loopback"}, {0x9100, "qinq"}};

/* LINKTYPE_ values, by libpcap's names of the DLT_ that they stand for. */
static const struct name link_types[] = {{0, "NULL"},
                                         {1, "EN10MB"},
                                         {3, "AX25"},
                                         {6, "IEEE802"},
                                         {7, "ARCNET"},
                                         {8, "SLIP"},
                                         {9, "PPP"},
                                         {10, "FDDI"},
                                         {12, "RAW"},
                                         {14, "RAW"},
                                         {50, "PPP_SERIAL"},
                                         {51, "PPP_ETHER"},
                                         {99, "SYMANTEC_FIREWALL"},
                                         {100, "ATM_RFC1483"},
                                         {101, "RAW"},
                                         {102, "SLIP_BSDOS"},
                                         {103, "PPP_BSDOS"},
                                         {104, "C_HDLC"},
                                         {105, "IEEE802_11"},
                                         {106, "ATM_CLIP"},
                                         {107, "FRELAY"},
                                         {108, "LOOP"},
                                         {109, "ENC"},
                                         {113, "LINUX_SLL"},
                                         {114, "LTALK"},
                                         {117, "PFLOG"},
                                         {119, "PRISM_HEADER"},
                                         {122, "IP_OVER_FC"},
                                         {123, "SUNATM"},
                                         {127, "IEEE802_11_RADIO"},
                                         {129, "ARCNET_LINUX"},
                                         {130, "JUNIPER_MLPPP"},
                                         {131, "JUNIPER_MLFR"},
                                         {132, "JUNIPER_ES"},
                                         {133, "JUNIPER_GGSN"},
                                         {134, "JUNIPER_MFR"},
                                         {135, "JUNIPER_ATM2"},
                                         {136, "JUNIPER_SERVICES"},
                                         {137, "JUNIPER_ATM1"},
                                         {138, "APPLE_IP_OVER_IEEE1394"},
                                         {139, "MTP2_WITH_PHDR"},
                                         {140, "MTP2"},
                                         {141, "MTP3"},
                                         {142, "SCCP"},
                                         {143, "DOCSIS"},
                                         {144, "LINUX_IRDA"},
                                         {163, "IEEE802_11_RADIO_AVS"},
                                         {164, "JUNIPER_MONITOR"},
                                         {165, "BACNET_MS_TP"},
                                         {166, "PPP_PPPD"},
                                         {167, "JUNIPER_PPPOE"},
                                         {168, "JUNIPER_PPPOE_ATM"},
                                         {169, "GPRS_LLC"},
                                         {170, "GPF_T"},
                                         {171, "GPF_F"},
                                         {174, "JUNIPER_PIC_PEER"},
                                         {175, "ERF_ETH"},
                                         {176, "ERF_POS"},
                                         {177, "LINUX_LAPD"},
                                         {178, "JUNIPER_ETHER"},
                                         {179, "JUNIPER_PPP"},
                                         {180, "JUNIPER_FRELAY"},
                                         {181, "JUNIPER_CHDLC"},
                                         {182, "MFR"},
                                         {183, "JUNIPER_VP"},
                                         {184, "A429"},
                                         {185, "A653_ICM"},
                                         {186, "USB_FREEBSD"},
                                         {187, "BLUETOOTH_HCI_H4"},
                                         {188, "IEEE802_16_MAC_CPS"},
                                         {189, "USB_LINUX"},
                                         {190, "CAN20B"},
                                         {191, "IEEE802_15_4_LINUX"},
                                         {192, "PPI"},
                                         {193, "IEEE802_16_MAC_CPS_RADIO"},
                                         {194, "JUNIPER_ISM"},
                                         {195, "IEEE802_15_4"},
                                         {196, "SITA"},
                                         {197, "ERF"},
                                         {198, "RAIF1"},
                                         {199, "IPMB_KONTRON"},
                                         {200, "JUNIPER_ST"},
                                         {201, "BLUETOOTH_HCI_H4_WITH_PHDR"},
                                         {202, "AX25_KISS"},
                                         {209, "IPMB_LINUX"},
                                         {215, "IEEE802_15_4_NONASK_PHY"},
                                         {216, "LINUX_EVDEV"},
                                         {219, "MPLS"},
                                         {220, "USB_LINUX_MMAPPED"},
                                         {221, "DECT"},
                                         {222, "AOS"},
                                         {223, "WIHART"},
                                         {224, "FC_2"},
                                         {225, "FC_2_WITH_FRAME_DELIMS"},
                                         {226, "IPNET"},
                                         {227, "CAN_SOCKETCAN"},
                                         {228, "IPV4"},
                                         {229, "IPV6"},
                                         {230, "IEEE802_15_4_NOFCS"},
                                         {231, "DBUS"},
                                         {232, "JUNIPER_VS"},
                                         {233, "JUNIPER_SRX_E2E"},
                                         {234, "JUNIPER_FIBRECHANNEL"},
                                         {235, "DVB_CI"},
                                         {236, "MUX27010"},
                                         {237, "STANAG_5066_D_PDU"},
                                         {238, "JUNIPER_ATM_CEMIC"},
                                         {239, "NFLOG"},
                                         {240, "NETANALYZER"},
                                         {241, "NETANALYZER_TRANSPARENT"},
                                         {242, "IPOIB"},
                                         {243, "MPEG_2_TS"},
                                         {244, "NG40"},
                                         {245, "NFC_LLCP"},
                                         {246, "PFSYNC"},
                                         {247, "INFINIBAND"},
                                         {248, "SCTP"},
                                         {249, "USBPCAP"},
                                         {250, "RTAC_SERIAL"},
                                         {251, "BLUETOOTH_LE_LL"},
                                         {253, "NETLINK"},
                                         {254, "BLUETOOTH_LINUX_MONITOR"},
                                         {255, "BLUETOOTH_BREDR_BB"},
                                         {256, "BLUETOOTH_LE_LL_WITH_PHDR"},
                                         {257, "PROFIBUS_DL"},
                                         {258, "PKTAP"},
                                         {259, "EPON"},
                                         {260, "IPMI_HPM_2"},
                                         {261, "ZWAVE_R1_R2"},
                                         {262, "ZWAVE_R3"},
                                         {263, "WATTSTOPPER_DLM"},
                                         {264, "ISO_14443"},
                                         {265, "RDS"},
                                         {266, "USB_DARWIN"},
                                         {267, "OPENFLOW"},
                                         {268, "SDLC"},
                                         {269, "TI_LLN_SNIFFER"},
                                         {271, "VSOCK"},
                                         {272, "NORDIC_BLE"},
                                         {273, "DOCSIS31_XRA31"},
                                         {274, "ETHERNET_MPACKET"},
                                         {275, "DISPLAYPORT_AUX"},
                                         {276, "LINUX_SLL2"},
                                         {278, "OPENVIZSLA"},
                                         {279, "EBHSCR"},
                                         {280, "VPP_DISPATCH"},
                                         {281, "DSA_TAG_BRCM"},
                                         {282, "DSA_TAG_BRCM_PREPEND"},
                                         {283, "IEEE802_15_4_TAP"},
                                         {284, "DSA_TAG_DSA"},
                                         {285, "DSA_TAG_EDSA"},
                                         {286, "ELEE"},
                                         {287, "Z_WAVE_SERIAL"},
                                         {288, "USB_2_0"},
                                         {289, "ATSC_ALP"}};

static const char *lookup(const struct name *names, size_t count, unsigned value)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].value == value)
            return names[i].text;
    return NULL;
}

#define LOOKUP(table, value) lookup(table, sizeof(table) / sizeof *(table), value)

const char *packet_tunnel_name(enum packet_tunnel tunnel)
{
    static const char *const names[] = {"none", "gre", "ipip", "vxlan", "geneve"};
    return (unsigned)tunnel < sizeof names / sizeof *names ? names[tunnel] : "unknown";
}

char *packet_proto_name(const struct flow_key *key, char *buf, size_t len)
{
    bool ip = key->ethertype == ETHERTYPE_IP4 || key->ethertype == ETHERTYPE_IP6;
    bool of_ip = ip && (key->family == FAMILY_IP4 || key->family == FAMILY_IP6);
    const char *name = of_ip ? LOOKUP(protocols, key->proto) : LOOKUP(ethertypes, key->ethertype);
    if (name)
        (void)snprintf(buf, len, "%s", name);
    else if (of_ip)
        (void)snprintf(buf, len, "%u", key->proto);
    else
        (void)snprintf(buf, len, "0x%04x", key->ethertype);
    return buf;
}

#define IP4_TEXT 16u /* with a 0 byte */

static char *put_number(char *at, uint8_t n)
{
    if (n >= 100)
        *at++ = (char)('0' + n / 100);
    if (n >= 10)
        *at++ = (char)('0' + n / 10 % 10);
    *at++ = (char)('0' + n % 10);
    return at;
}

/* Written for each answer of DNS. */
static void put_ip4(const uint8_t addr[4], char buf[IP4_TEXT])
{
    for (unsigned i = 0; i < 4; i++) {
        buf = put_number(buf, addr[i]);
        *buf++ = i < 3 ? '.' : '\0';
    }
}

char *packet_addr_text(uint8_t family, const uint8_t addr[16], char *buf, size_t len)
{
    if (family == FAMILY_LINK)
        (void)snprintf(buf, len, "%02x:%02x:%02x:%02x:%02x:%02x", addr[0], addr[1], addr[2], addr[3], addr[4], addr[5]);
    else if (family == FAMILY_IP4 && len >= IP4_TEXT)
        put_ip4(addr, buf);
    else if ((family != FAMILY_IP4 && family != FAMILY_IP6) ||
             !inet_ntop(family == FAMILY_IP6 ? AF_INET6 : AF_INET, addr, buf, (socklen_t)len))
        (void)snprintf(buf, len, "-");
    return buf;
}

char *packet_link_name(int link_type, char *buf, size_t len)
{
    const char *name = link_type < 0 ? NULL : LOOKUP(link_types, (unsigned)link_type);
    if (name)
        (void)snprintf(buf, len, "%s", name);
    else
        (void)snprintf(buf, len, "LINKTYPE %d", link_type);
    return buf;
}
