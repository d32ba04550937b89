/*
 * Migration of memory tags: records at the end of a multifd packet
 *
 * Purpose: after the data of a packet, whatever their compression, come the
 * records of its pages, in the order of the packet, zero pages left out.
 * Their size in bytes is in the packet's unused32[0]; no record is shorter
 * than a byte, so it is zero only where there are no pages with data.
 *
 * Invariants: tags of a packet are read when all its pages have left the
 * dirty bitmap; a later store makes the page dirty again, so that no sync
 * has to be watched for (compare source.c).  What is received is bounded by
 * the number of pages before memory is allocated or read.
 *
 * Lock rule: each channel's thread has a packet of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "exec/ramblock.h"
#include "io/channel.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "hooks.h"
#include "page-tags.h"

/*
 * Lives behind the channel's iovecs, in one allocation with them: it has
 * their life, and a channel has no other place for it.
 */
typedef struct Packet {
    bool loaded;                /* what follows is the present packet's */
    Error *err;                 /* or this came instead */
    unsigned num;
    unsigned last;              /* where find() found something */
    ram_addr_t *offsets;        /* before zero pages were sorted out */
    uint8_t *tags;              /* of the pages at these */
    uint8_t *records;
} Packet;

/* All that a method may use, and one more for the records. */
static size_t iovecs(void)
{
    return multifd_ram_page_count() + 2;
}

static Packet *packet_of(MultiFDSendParams *p)
{
    return (Packet *)(p->iov + iovecs());
}

void page_tags_multifd_setup(MultiFDSendParams *p)
{
    unsigned n = multifd_ram_page_count();
    size_t own = sizeof(Packet) + n * (sizeof(ram_addr_t) +
                                       PAGE_TAGS_MAX_BYTES +
                                       PAGE_TAGS_MAX_RECORD);
    Packet *packet;

    if (!page_tags.ops) {
        return;
    }
    p->iov = g_realloc(p->iov, iovecs() * sizeof(*p->iov) + own);
    packet = packet_of(p);
    memset(packet, 0, own);
    packet->offsets = (ram_addr_t *)(packet + 1);
    packet->tags = (uint8_t *)(packet->offsets + n);
    packet->records = packet->tags + n * PAGE_TAGS_MAX_BYTES;
}

static bool is_ours(MultiFDSendParams *p)
{
    return qatomic_read(&page_tags.sending) &&
           !multifd_payload_device_state(p->data) &&
           page_tags_find(p->data->u.ram.block);
}

/*
 * A destination that does not know the section must not take records for a
 * packet before it has noticed.  So the announcement has a SYNC on each
 * channel with it, behind which a channel waits until the section is loaded.
 */
bool page_tags_multifd_sync_send(Error **errp)
{
    int ret;

    if (!migrate_multifd()) {
        return true;
    }
    bql_unlock();
    ret = multifd_send_sync_main(MULTIFD_SYNC_ALL);
    bql_lock();
    if (ret) {
        error_setg(errp, "cannot synchronize the channels of multifd");
    }
    return !ret;
}

void page_tags_multifd_sync_recv(void)
{
    multifd_recv_sync_main();
}

/* How many pages from @i on follow each other. */
static unsigned run_length(const ram_addr_t *offsets, unsigned i, unsigned n)
{
    unsigned length = 1;

    while (i + length < n && offsets[i + length] == offsets[i] +
           (ram_addr_t)length * multifd_ram_page_size()) {
        length++;
    }
    return length;
}

static bool load(MultiFDSendParams *p, Packet *packet)
{
    MultiFDPages_t *pages = &p->data->u.ram;
    unsigned size = page_tags.ops->tag_bytes, length;
    bool zero;

    packet->loaded = true;
    packet->last = 0;
    packet->num = pages->num;
    memcpy(packet->offsets, pages->offset, pages->num * sizeof(ram_addr_t));
    for (unsigned i = 0; i < packet->num; i += length) {
        length = run_length(packet->offsets, i, packet->num);
        if (!page_tags.ops->read(pages->block, packet->offsets[i], length,
                                 packet->tags + i * size, &zero,
                                 &packet->err)) {
            return false;
        }
        if (zero) {
            memset(packet->tags + i * size, 0, length * size);
        }
    }
    return true;
}

/* The packet's pages are asked for more or less in their order. */
static const uint8_t *find(Packet *packet, ram_addr_t offset)
{
    while (packet->offsets[packet->last] != offset) {
        packet->last = (packet->last + 1) % packet->num;
    }
    return packet->tags + packet->last * page_tags.ops->tag_bytes;
}

/* Whether a page of zeros has tags; a failure is left to the sender. */
bool page_tags_multifd_present(MultiFDSendParams *p, ram_addr_t offset)
{
    Packet *packet;

    if (!is_ours(p)) {
        return false;
    }
    packet = packet_of(p);
    if (!packet->loaded && !load(p, packet)) {
        return true;
    }
    return packet->err || !buffer_is_zero(find(packet, offset),
                                          page_tags.ops->tag_bytes);
}

static void add_records(MultiFDSendParams *p, Packet *packet)
{
    MultiFDPages_t *pages = &p->data->u.ram;
    size_t size = 0;

    for (unsigned i = 0; i < pages->normal_num; i++) {
        size += page_tags_pack(find(packet, pages->offset[i]),
                               packet->records + size);
    }
    p->packet->unused32[0] = cpu_to_be32(size);
    if (size) {
        p->iov[p->iovs_num++] = (struct iovec) {
            .iov_base = packet->records,
            .iov_len = size,
        };
        stat64_add(&page_tags.records, pages->normal_num);
    }
}

/* After the method has prepared the packet, header and iovecs. */
int page_tags_multifd_send(MultiFDSendParams *p, Error **errp)
{
    Packet *packet;

    if (!is_ours(p)) {
        return 0;
    }
    packet = packet_of(p);
    if (!packet->loaded) {
        load(p, packet);
    }
    packet->loaded = false;
    if (packet->err) {
        error_prepend(&packet->err, "%s: ", page_tags.ops->section);
        error_propagate(errp, g_steal_pointer(&packet->err));
        return -1;
    }
    add_records(p, packet);
    return 0;
}

static bool take_records(MultiFDRecvParams *p, PageTagsBatch *batch,
                         const uint8_t *records, size_t size, Error **errp)
{
    PageTagsBlock *where = page_tags_find(p->block);
    uint8_t buffer[PAGE_TAGS_MAX_BYTES];
    const uint8_t *tags;
    size_t need;

    for (unsigned i = 0; i < p->normal_num; i++) {
        need = size ? page_tags.ops->record_size(records, size) : 0;
        if (!need || need > size ||
            !page_tags_unpack(records, need, buffer, &tags)) {
            error_setg(errp, "malformed record of tags for page 0x"
                       RAM_ADDR_FMT " of %s", p->normal[i], p->block->idstr);
            return false;
        }
        if (!page_tags_batch_add(batch, where, p->normal[i], tags, errp)) {
            return false;
        }
        records += need;
        size -= need;
    }
    if (size) {
        error_setg(errp, "%zu bytes follow the records of %u pages of %s",
                   size, p->normal_num, p->block->idstr);
    }
    return !size;
}

static bool receive_records(MultiFDRecvParams *p, PageTagsBatch *batch,
                            Error **errp)
{
    uint32_t size = be32_to_cpu(p->packet->unused32[0]);
    size_t max = (size_t)p->normal_num * PAGE_TAGS_MAX_RECORD;
    g_autofree uint8_t *records = NULL;

    if (size < p->normal_num || size > max) {
        error_setg(errp, "a packet has %u bytes of tags for %u pages of %s; "
                   "%u to %zu are possible", size, p->normal_num,
                   p->block->idstr, p->normal_num, max);
        return false;
    }
    if (!size) {
        return true;
    }
    records = g_malloc(size);
    if (qio_channel_read_all(p->c, (char *)records, size, errp)) {
        return false;
    }
    stat64_add(&page_tags.records, p->normal_num);
    return take_records(p, batch, records, size, errp);
}

static bool receive(MultiFDRecvParams *p, Error **errp)
{
    PageTagsBlock *where = page_tags_find(p->block);
    g_autofree PageTagsBatch *batch = g_new(PageTagsBatch, 1);

    batch->pages = 0;
    if (!receive_records(p, batch, errp)) {
        return false;
    }
    for (unsigned i = 0; i < p->zero_num; i++) {
        if (!page_tags_batch_add(batch, where, p->zero[i], NULL, errp)) {
            return false;
        }
    }
    return page_tags_batch_flush(batch, errp);
}

/* After the method has received the packet's data. */
int page_tags_multifd_recv(MultiFDRecvParams *p, Error **errp)
{
    ERRP_GUARD();

    if (!page_tags.ops || !page_tags_find(p->block) || receive(p, errp)) {
        return 0;
    }
    error_prepend(errp, "%s: ", page_tags.ops->section);
    return -1;
}
