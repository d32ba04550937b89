/*
 * Migration of memory tags: the section
 *
 * Purpose: announce that records follow the pages of RAM, before there are
 * any, and say at the end how many there were.
 *
 * Format (big endian), version 2:
 *
 *   start   be32 level, be32 bytes of tags a page, be32 bytes of a page,
 *           be32 variant, u8 number of blocks, for each: u8 length, its name
 *   end     be64 number of records
 *
 * In version 1 no zero page had a record.
 *
 * Invariants: all is checked before a page is loaded: level, variant, sizes,
 * and that both sides have tags for the same blocks.  The source learns of a
 * refusal as of any other: the destination ends the connection, and where there
 * is a return path, no source hands over without the destination's word there.
 * A stream whose records were lost does not load.  The end is loaded after all
 * pages of the main channel; then the last batch of tags is written.  A stream
 * without the end does not load.
 *
 * Lock rule: BQL, but for check_end().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "exec/ramblock.h"
#include "exec/target_page.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "migration/register.h"
#include "system/runstate.h"
#include "page-tags-internal.h"
#include "trace.h"

/* Why a capability cannot be had with tags; NULL: it can; "": nobody tried. */
static const char *reason_against(MigrationCapability capability)
{
    switch (capability) {
    case MIGRATION_CAPABILITY_AUTO_CONVERGE:
    case MIGRATION_CAPABILITY_DIRTY_BITMAPS:
    case MIGRATION_CAPABILITY_DIRTY_LIMIT:
    case MIGRATION_CAPABILITY_EVENTS:
    case MIGRATION_CAPABILITY_LATE_BLOCK_ACTIVATE:
    case MIGRATION_CAPABILITY_MULTIFD:
    case MIGRATION_CAPABILITY_PAUSE_BEFORE_SWITCHOVER:
    case MIGRATION_CAPABILITY_RETURN_PATH:
    case MIGRATION_CAPABILITY_SWITCHOVER_ACK:
    case MIGRATION_CAPABILITY_VALIDATE_UUID:
        return NULL;
    case MIGRATION_CAPABILITY_XBZRLE:
        return "it leaves out pages whose data are unchanged, and their tags";
    case MIGRATION_CAPABILITY_POSTCOPY_RAM:
        return "the kernel cannot place a page and its tags at once";
    case MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT:
        return "a store of tags does not wait until the page is saved";
    case MIGRATION_CAPABILITY_MAPPED_RAM:
        return "its file format has no place for tags";
    case MIGRATION_CAPABILITY_ZERO_COPY_SEND:
        return "a packet's header leaves before its tags are known";
    case MIGRATION_CAPABILITY_X_COLO:
        return "its copy of RAM has no tags";
    case MIGRATION_CAPABILITY_X_IGNORE_SHARED:
        return "tags of pages that are not sent would be lost";
    case MIGRATION_CAPABILITY_RDMA_PIN_ALL:
        return "RDMA writes pages without their tags";
    default:
        return "nobody has tried";
    }
}

static bool check_compression(Error **errp)
{
    MultiFDCompression method = migrate_multifd_compression();

    if (migrate_multifd() && method != MULTIFD_COMPRESSION_NONE &&
        method != MULTIFD_COMPRESSION_ZLIB &&
        method != MULTIFD_COMPRESSION_ZSTD) {
        error_setg(errp, "multifd-compression %s does not work with memory "
                   "tags: nobody has tried; set it to none, zlib or zstd",
                   MultiFDCompression_str(method));
        return false;
    }
    return true;
}

static bool check_capabilities(Error **errp)
{
    const bool *on = migrate_get_current()->capabilities;

    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        if (on[i] && reason_against(i)) {
            error_setg(errp, "%s does not work with memory tags: %s; "
                       "turn it off", MigrationCapability_str(i),
                       reason_against(i));
            return false;
        }
    }
    if (migrate_mode() != MIG_MODE_NORMAL) {
        error_setg(errp, "mode %s does not work with memory tags: they would "
                   "be lost; set it to normal", MigMode_str(migrate_mode()));
        return false;
    }
    return check_compression(errp);
}

/* QEMU starts no threads of multifd for a snapshot, and then waits for them. */
static bool check_snapshot(Error **errp)
{
    if (runstate_check(RUN_STATE_SAVE_VM) && migrate_multifd()) {
        error_setg(errp, "multifd does not work with snapshots; turn it off");
        return false;
    }
    return true;
}

/* Both sides; the destination has some of the capabilities, too. */
static int prepare(void *opaque, Error **errp)
{
    ERRP_GUARD();

    if (!check_capabilities(errp) || !check_snapshot(errp)) {
        error_prepend(errp, "%s: ", page_tags.ops->section);
        return -EINVAL;
    }
    return 0;
}

static void put_announcement(QEMUFile *f)
{
    qemu_put_be32(f, page_tags.ops->level());
    qemu_put_be32(f, page_tags.ops->tag_bytes);
    qemu_put_be32(f, qemu_target_page_size());
    qemu_put_be32(f, page_tags.ops->variant());
    qemu_put_byte(f, page_tags.num_blocks);
    for (unsigned i = 0; i < page_tags.num_blocks; i++) {
        const char *name = page_tags.blocks[i].block->idstr;

        qemu_put_byte(f, strlen(name));
        qemu_put_buffer(f, (const uint8_t *)name, strlen(name));
    }
    qemu_fflush(f);             /* the destination has to see it now */
}

static int save_setup(QEMUFile *f, void *opaque, Error **errp)
{
    ERRP_GUARD();

    if (migrate_rdma()) {       /* known from when the channel is open */
        error_setg(errp, "%s: RDMA does not work with memory tags: it writes "
                   "pages without them; use a socket", page_tags.ops->section);
        return -EINVAL;
    }
    page_tags_source_begin();
    stat64_set(&page_tags.records, 0);
    qatomic_set(&page_tags.sending, true);
    put_announcement(f);
    trace_page_tags_announce(page_tags.ops->section, page_tags.ops->level());
    if (!page_tags_multifd_sync_send(errp)) {
        error_prepend(errp, "%s: ", page_tags.ops->section);
        return -EINVAL;
    }
    return 0;
}

static int save_complete(QEMUFile *f, void *opaque)
{
    uint64_t records = stat64_get(&page_tags.records);

    qemu_put_be64(f, records);
    trace_page_tags_end(page_tags.ops->section, records);
    return 0;
}

static void save_cleanup(void *opaque)
{
    qatomic_set(&page_tags.sending, false);
    page_tags_source_end();
}

/*
 * A thread of QEMU's that helps to load.  QEMU takes a stream that ends early
 * for a whole one and has no handler there, but waits for such threads.
 */
static bool check_end(void *opaque, bool *should_quit, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    qemu_event_wait(&mis->main_thread_load_event);
    if (qatomic_read(should_quit) || qemu_file_get_error(mis->from_src_file) ||
        migrate_has_error(migrate_get_current()) ||
        page_tags.loaded == PAGE_TAGS_END) {
        return true;
    }
    error_setg(errp, "%s: the stream ends without the %s",
               page_tags.ops->section,
               page_tags.loaded == PAGE_TAGS_NOTHING ? "section"
                                                     : "section's end");
    error_report_err(error_copy(*errp));
    /* QEMU tells the source at its end that loading went wrong. */
    qemu_file_set_error(mis->from_src_file, -EINVAL);
    return false;
}

static int load_setup(QEMUFile *f, void *opaque, Error **errp)
{
    if (prepare(opaque, errp)) {
        return -EINVAL;
    }
    page_tags.loaded = PAGE_TAGS_NOTHING;
    stat64_set(&page_tags.records, 0);
    page_tags_destination_begin();
    /* xen-load-devices-state has no RAM, no end, and no file of its own */
    if (migration_incoming_get_current()->from_src_file) {
        qemu_loadvm_start_load_thread(check_end, NULL);
    }
    return 0;
}

static int load_cleanup(void *opaque)
{
    page_tags_destination_end();
    /* The thread may wait still, if QEMU gave up before its main loop. */
    qemu_event_set(&migration_incoming_get_current()->main_thread_load_event);
    return 0;
}

static bool check_feature(const char *name, uint32_t theirs, unsigned ours,
                          Error **errp)
{
    if (theirs != ours) {
        error_setg(errp, "the source has %s %u, this machine has %u; give "
                   "both the same CPU", name, theirs, ours);
    }
    return theirs == ours;
}

static bool check_sizes(uint32_t tag_bytes, uint32_t page_bytes,
                        unsigned blocks, Error **errp)
{
    if (tag_bytes != page_tags.ops->tag_bytes ||
        page_bytes != qemu_target_page_size()) {
        error_setg(errp, "the source has %u bytes of tags for a page of %u "
                   "bytes, and this machine %u for %zu", tag_bytes, page_bytes,
                   page_tags.ops->tag_bytes, qemu_target_page_size());
        return false;
    }
    if (blocks != page_tags.num_blocks) {
        error_setg(errp, "the source has tags for %u blocks of RAM, and this "
                   "machine for %u; give both the same memory", blocks,
                   page_tags.num_blocks);
        return false;
    }
    return true;
}

static bool check_block(QEMUFile *f, Error **errp)
{
    char name[256];
    unsigned size = qemu_get_byte(f);

    if (qemu_file_get_error(f) ||
        qemu_get_buffer(f, (uint8_t *)name, size) != size) {
        error_setg(errp, "the stream ends within its name of a block");
        return false;
    }
    name[size] = '\0';
    for (unsigned i = 0; i < page_tags.num_blocks; i++) {
        if (!strcmp(page_tags.blocks[i].block->idstr, name)) {
            return true;
        }
    }
    error_setg(errp, "the source has tags for the RAM '%s', and this machine "
               "has not; give both the same memory", name);
    return false;
}

static bool check_announcement(QEMUFile *f, Error **errp)
{
    uint32_t level = qemu_get_be32(f);
    uint32_t tag_bytes = qemu_get_be32(f);
    uint32_t page_bytes = qemu_get_be32(f);
    uint32_t variant = qemu_get_be32(f);
    unsigned blocks = qemu_get_byte(f);

    if (qemu_file_get_error(f)) {
        error_setg(errp, "the stream ends within the announcement");
        return false;
    }
    if (!check_feature(page_tags.ops->level_name, level,
                       page_tags.ops->level(), errp) ||
        !check_feature(page_tags.ops->variant_name, variant,
                       page_tags.ops->variant(), errp) ||
        !check_sizes(tag_bytes, page_bytes, blocks, errp)) {
        return false;
    }
    for (unsigned i = 0; i < blocks; i++) {
        if (!check_block(f, errp)) {
            return false;
        }
    }
    return true;
}

static bool load_start(QEMUFile *f, Error **errp)
{
    if (!check_announcement(f, errp)) {
        return false;
    }
    page_tags.loaded = PAGE_TAGS_ANNOUNCEMENT;
    multifd_recv_sync_main();           /* page_tags_multifd_sync_send() */
    return true;
}

static bool load_end(QEMUFile *f, Error **errp)
{
    uint64_t sent = qemu_get_be64(f);
    uint64_t loaded = stat64_get(&page_tags.records);

    if (qemu_file_get_error(f) || sent != loaded) {
        error_setg(errp, "the source sent %" PRIu64 " records of tags, and %"
                   PRIu64 " arrived", sent, loaded);
        return false;
    }
    if (!page_tags_destination_flush(errp)) {
        return false;
    }
    page_tags.loaded = PAGE_TAGS_END;
    return true;
}

static bool load_next(QEMUFile *f, Error **errp)
{
    switch (page_tags.loaded) {
    case PAGE_TAGS_NOTHING:
        return load_start(f, errp);
    case PAGE_TAGS_ANNOUNCEMENT:
        return load_end(f, errp);
    default:
        error_setg(errp, "the section comes again behind its end");
        return false;
    }
}

static int load_state(QEMUFile *f, void *opaque, int version_id)
{
    Error *err = NULL;

    if (version_id != PAGE_TAGS_VERSION) {
        error_setg(&err, "the section has version %d, and version %d can be "
                   "loaded", version_id, PAGE_TAGS_VERSION);
    } else if (load_next(f, &err)) {
        return 0;
    }
    return page_tags_fail(err);
}

static const SaveVMHandlers handlers = {
    .save_prepare = prepare,
    .save_setup = save_setup,
    .save_cleanup = save_cleanup,
    .save_live_complete_precopy = save_complete,
    .load_setup = load_setup,
    .load_state = load_state,
    .load_cleanup = load_cleanup,
};

void page_tags_section_register(void)
{
    register_savevm_live(page_tags.ops->section, 0, PAGE_TAGS_VERSION,
                         &handlers, NULL);
}
