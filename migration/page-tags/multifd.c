/*
 * Migration of memory tags: records at the end of a multifd packet
 *
 * Purpose: after the data of a packet, whatever their compression, come the
 * records of its pages with data, in the order of the packet, and then those
 * of its zero pages, unless none of these has tags.  The size of all in bytes
 * is in the packet's unused32[0].  No record is shorter than a byte.
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
#include "page-tags-internal.h"

/* A channel's; MultiFDSendParams.page_tags. */
typedef struct PageTagsPacket {
    ram_addr_t *offsets;        /* of all its pages, in ascending order */
    uint8_t *tags;              /* of the pages at these */
    uint8_t *records;
} PageTagsPacket;

/* All iovecs that a method may use, and one more for the records. */
void page_tags_multifd_setup(MultiFDSendParams *p)
{
    unsigned n = multifd_ram_page_count();
    PageTagsPacket *packet;

    if (!page_tags.ops) {
        return;
    }
    p->iov = g_renew(struct iovec, p->iov, n + 2);
    packet = g_new0(PageTagsPacket, 1);
    packet->offsets = g_new(ram_addr_t, n);
    packet->tags = g_malloc(n * PAGE_TAGS_MAX_BYTES);
    packet->records = g_malloc(n * PAGE_TAGS_MAX_RECORD);
    p->page_tags = packet;
}

void page_tags_multifd_cleanup(MultiFDSendParams *p)
{
    PageTagsPacket *packet = g_steal_pointer(&p->page_tags);

    if (packet) {
        g_free(packet->offsets);
        g_free(packet->tags);
        g_free(packet->records);
        g_free(packet);
    }
}

static bool packet_has_tags(MultiFDSendParams *p)
{
    return qatomic_read(&page_tags.sending) &&
           !multifd_payload_device_state(p->data) &&
           page_tags_find_block(p->data->u.ram.block);
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

static int compare_offsets(const void *a, const void *b)
{
    ram_addr_t x = *(const ram_addr_t *)a, y = *(const ram_addr_t *)b;

    return x < y ? -1 : x > y;
}

/* In few calls: the packet has its pages with data first, in any order. */
static bool load_packet(MultiFDSendParams *p, PageTagsPacket *packet,
                        Error **errp)
{
    MultiFDPages_t *pages = &p->data->u.ram;
    unsigned size = page_tags.ops->tag_bytes, length;
    bool zero;

    memcpy(packet->offsets, pages->offset, pages->num * sizeof(ram_addr_t));
    qsort(packet->offsets, pages->num, sizeof(ram_addr_t), compare_offsets);
    for (unsigned i = 0; i < pages->num; i += length) {
        length = run_length(packet->offsets, i, pages->num);
        if (!page_tags.ops->read(pages->block, packet->offsets[i], length,
                                 packet->tags + i * size, &zero, errp)) {
            return false;
        }
        if (zero) {
            memset(packet->tags + i * size, 0, length * size);
        }
    }
    return true;
}

static const uint8_t *tags_of_page(const PageTagsPacket *packet, unsigned num,
                                   ram_addr_t offset)
{
    ram_addr_t *at = bsearch(&offset, packet->offsets, num,
                             sizeof(ram_addr_t), compare_offsets);

    return packet->tags + (at - packet->offsets) * page_tags.ops->tag_bytes;
}

/* How many of the packet's pages have records */
static unsigned pages_with_records(const MultiFDPages_t *pages,
                                   const PageTagsPacket *packet)
{
    for (unsigned i = pages->normal_num; i < pages->num; i++) {
        if (!buffer_is_zero(tags_of_page(packet, pages->num, pages->offset[i]),
                            page_tags.ops->tag_bytes)) {
            return pages->num;
        }
    }
    return pages->normal_num;
}

static void add_records(MultiFDSendParams *p, PageTagsPacket *packet)
{
    MultiFDPages_t *pages = &p->data->u.ram;
    unsigned n = pages_with_records(pages, packet);
    size_t size = 0;

    for (unsigned i = 0; i < n; i++) {
        size += page_tags_pack(tags_of_page(packet, pages->num,
                                            pages->offset[i]),
                               packet->records + size);
    }
    p->packet->unused32[0] = cpu_to_be32(size);
    if (size) {
        p->iov[p->iovs_num++] = (struct iovec) {
            .iov_base = packet->records,
            .iov_len = size,
        };
        stat64_add(&page_tags.records, n);
    }
}

int page_tags_multifd_send(MultiFDSendParams *p, Error **errp)
{
    ERRP_GUARD();

    if (!packet_has_tags(p)) {
        return 0;
    }
    if (!load_packet(p, p->page_tags, errp)) {
        error_prepend(errp, "%s: ", page_tags.ops->section);
        return -1;
    }
    add_records(p, p->page_tags);
    return 0;
}

/* The records of @n pages at @offsets, from *@at on, where *@left bytes are */
static bool take_records(PageTagsBatch *batch, PageTagsBlock *where,
                         const ram_addr_t *offsets, unsigned n,
                         const uint8_t **at, size_t *left, Error **errp)
{
    uint8_t buffer[PAGE_TAGS_MAX_BYTES];
    const uint8_t *tags;
    size_t used;

    for (unsigned i = 0; i < n; i++, *at += used, *left -= used) {
        used = *left ? page_tags.ops->record_size(*at, *left) : 0;
        if (!used || used > *left ||
            !page_tags_unpack(*at, used, buffer, &tags)) {
            error_setg(errp, "malformed record of tags for page 0x"
                       RAM_ADDR_FMT " of %s", offsets[i], where->block->idstr);
            return false;
        }
        if (!page_tags_batch_add(batch, where, offsets[i], tags, errp)) {
            return false;
        }
    }
    return true;
}

static bool clear_tags(PageTagsBatch *batch, PageTagsBlock *where,
                       const ram_addr_t *offsets, unsigned n, Error **errp)
{
    for (unsigned i = 0; i < n; i++) {
        if (!page_tags_batch_add(batch, where, offsets[i], NULL, errp)) {
            return false;
        }
    }
    return true;
}

static bool receive_packet(MultiFDRecvParams *p, PageTagsBlock *where,
                           Error **errp)
{
    size_t size = be32_to_cpu(p->packet->unused32[0]);
    unsigned pages = p->normal_num + p->zero_num;
    size_t max = (size_t)pages * PAGE_TAGS_MAX_RECORD;
    g_autofree PageTagsBatch *batch = g_new(PageTagsBatch, 1);
    g_autofree uint8_t *records = NULL;
    const uint8_t *at;

    batch->pages = 0;
    if (size < p->normal_num || size > max) {
        error_setg(errp, "a packet has %zu bytes of tags for %u pages of %s, "
                   "%u of them zero; %u to %zu are possible", size, pages,
                   p->block->idstr, p->zero_num, p->normal_num, max);
        return false;
    }
    at = records = g_malloc(size);
    if (size && qio_channel_read_all(p->c, (char *)records, size, errp)) {
        return false;
    }
    stat64_add(&page_tags.records, p->normal_num);
    if (!take_records(batch, where, p->normal, p->normal_num, &at, &size,
                      errp)) {
        return false;
    }
    if (!size) {
        return clear_tags(batch, where, p->zero, p->zero_num, errp) &&
               page_tags_batch_flush(batch, errp);
    }
    stat64_add(&page_tags.records, p->zero_num);
    if (!take_records(batch, where, p->zero, p->zero_num, &at, &size, errp)) {
        return false;
    }
    if (size) {
        error_setg(errp, "%zu bytes follow the records of %u pages of %s",
                   size, pages, p->block->idstr);
        return false;
    }
    return page_tags_batch_flush(batch, errp);
}

int page_tags_multifd_recv(MultiFDRecvParams *p, Error **errp)
{
    PageTagsBlock *where = page_tags_find_block(p->block);
    ERRP_GUARD();

    if (!where || receive_packet(p, where, errp)) {
        return 0;
    }
    error_prepend(errp, "%s: ", page_tags.ops->section);
    return -1;
}
