/*
 * The log of what a Realm's initial measurement consists of
 *
 * Purpose, invariants and lock rule: measurement-log.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "crypto/hash.h"
#include "hw/boards.h"
#include "system/realm-image.h"
#include "layout.h"
#include "measurement-log.h"
#include "shared.h"

/* TCG PC Client Platform Firmware Profile 1.06, 10.4.1 */
enum {
    EV_NO_ACTION = 3,
    EV_EVENT_TAG = 6,
    EV_POST_CODE2 = 0x13,
    EV_EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000000a,
};

/* TCG Algorithm Registry */
enum { TPM_ALG_SHA256 = 0x0b, TPM_ALG_SHA512 = 0x0d };

/* Tags of EV_EVENT_TAG; the last one is ours. */
enum {
    TAG_REALM_CREATE = 1,
    TAG_INIT_RIPAS = 2,
    TAG_REC_CREATE = 3,
    TAG_EXTENSIONS = 0x80000001,
};

#define PCR_OF_RIM 0
#define SHA1_SIZE 20
#define SPEC_REVISION 106

typedef struct RealmLog {
    GByteArray *bytes;
    QCryptoHashAlgo hash;
    uint16_t algorithm;
} RealmLog;

static void put(GByteArray *bytes, const void *data, size_t size)
{
    g_byte_array_append(bytes, data, size);
}

static void put_zeros(GByteArray *bytes, size_t size)
{
    size_t at = bytes->len;

    g_byte_array_set_size(bytes, at + size);
    memset(bytes->data + at, 0, size);
}

static void put_number(GByteArray *bytes, uint64_t number, size_t size)
{
    uint64_t le = cpu_to_le64(number);

    put(bytes, &le, size);
}

/* A text in a field of @size bytes, with zeros behind it. */
static void put_text(GByteArray *bytes, const char *text, size_t size)
{
    size_t length = MIN(strlen(text), size);

    put(bytes, text, length);
    put_zeros(bytes, size - length);
}

/* TCG_PCClientPCREvent with TCG_EfiSpecIdEvent: what kind of log it is. */
static void put_header(RealmLog *log)
{
    g_autoptr(GByteArray) event = g_byte_array_new();

    put_text(event, "Spec ID Event03", 16);
    put_number(event, 0, 4);                    /* platform class: client */
    put_number(event, 0, 1);                    /* TPM library 2.0 */
    put_number(event, 2, 1);
    put_number(event, SPEC_REVISION, 1);
    put_number(event, 2, 1);                    /* UINTN has 64 bits */
    put_number(event, 1, 4);                    /* number of algorithms */
    put_number(event, log->algorithm, 2);
    put_number(event, qcrypto_hash_digest_len(log->hash), 2);
    put_number(event, 0, 1);                    /* no vendor information */

    put_number(log->bytes, PCR_OF_RIM, 4);
    put_number(log->bytes, EV_NO_ACTION, 4);
    put_zeros(log->bytes, SHA1_SIZE);
    put_number(log->bytes, event->len, 4);
    put(log->bytes, event->data, event->len);
}

/* TCG_PCR_EVENT2; the digest is of @size bytes of @data, zeros without. */
static bool put_event(RealmLog *log, uint32_t type, const GByteArray *event,
                      const void *data, size_t size, Error **errp)
{
    size_t length = qcrypto_hash_digest_len(log->hash);
    g_autofree uint8_t *digest = g_malloc0(length);

    if (data && qcrypto_hash_bytes(log->hash, data, size, &digest, &length,
                                   errp) < 0) {
        return false;
    }
    put_number(log->bytes, PCR_OF_RIM, 4);
    put_number(log->bytes, type, 4);
    put_number(log->bytes, 1, 4);               /* number of digests */
    put_number(log->bytes, log->algorithm, 2);
    put(log->bytes, digest, length);
    put_number(log->bytes, event->len, 4);
    put(log->bytes, event->data, event->len);
    return true;
}

static bool put_version(RealmLog *log, const RealmConfig *config, Error **errp)
{
    g_autoptr(GByteArray) event = g_byte_array_new();

    put_text(event, "VM VERSION", 16);
    put_text(event, "QEMU", 32);
    put_text(event, QEMU_VERSION, 40);
    put_number(event, current_machine->ram_size, 8);
    put_number(event, config->num_cpus, 4);
    put_zeros(event, 4);
    put_number(event, 0, 8);                    /* flags */
    return put_event(log, EV_NO_ACTION, event, NULL, 0, errp);
}

/* TCG_PCClientTaggedEvent, whose digest is that of its data. */
static bool put_tagged(RealmLog *log, uint32_t tag, const GByteArray *data,
                       Error **errp)
{
    g_autoptr(GByteArray) event = g_byte_array_new();

    put_number(event, tag, 4);
    put_number(event, data->len, 4);
    put(event, data->data, data->len);
    return put_event(log, EV_EVENT_TAG, event, data->data, data->len, errp);
}

static bool put_params(RealmLog *log, const RmiRealmParams *params,
                       Error **errp)
{
    g_autoptr(GByteArray) data = g_byte_array_new();

    put_number(data, params->flags, 8);
    put_number(data, params->s2sz, 1);
    put_number(data, params->sve_vl, 1);
    put_number(data, params->num_bps, 1);
    put_number(data, params->num_wps, 1);
    put_number(data, params->pmu_num_ctrs, 1);
    put_number(data, params->hash_algo, 1);
    put_zeros(data, 2);
    return put_tagged(log, TAG_REALM_CREATE, data, errp);
}

/* What the model measures beyond RMM 1.0, if there is any. */
static bool put_extensions(RealmLog *log, const RealmLogFacts *facts,
                           Error **errp)
{
    g_autoptr(GByteArray) data = g_byte_array_new();

    if (!facts->params->ext_flags) {
        return true;
    }
    put_number(data, facts->params->ext_flags, 8);
    if (facts->policy) {
        put(data, facts->policy, sizeof(*facts->policy));
    }
    return put_tagged(log, TAG_EXTENSIONS, data, errp);
}

static bool put_ram(RealmLog *log, const GArray *ram, Error **errp)
{
    for (guint i = 0; i < ram->len; i++) {
        const RealmRange *range = &realm_range(ram, i);
        g_autoptr(GByteArray) data = g_byte_array_new();

        put_number(data, range->base, 8);
        put_number(data, range->top - range->base, 8);
        if (!put_tagged(log, TAG_INIT_RIPAS, data, errp)) {
            return false;
        }
    }
    return true;
}

static bool put_rec(RealmLog *log, const RmiRecParams *rec, Error **errp)
{
    g_autoptr(GByteArray) data = g_byte_array_new();

    put_number(data, rec->flags, 8);
    put_number(data, rec->pc, 8);
    for (unsigned i = 0; i < ARRAY_SIZE(rec->gprs); i++) {
        put_number(data, rec->gprs[i], 8);
    }
    return put_tagged(log, TAG_REC_CREATE, data, errp);
}

/* UEFI_PLATFORM_FIRMWARE_BLOB2; no @data: only the place is measured. */
static bool put_blob(RealmLog *log, uint32_t type, const char *description,
                     uint64_t base, uint64_t size, const void *data,
                     Error **errp)
{
    g_autoptr(GByteArray) event = g_byte_array_new();

    put_number(event, strlen(description), 1);
    put(event, description, strlen(description));
    put_number(event, base, 8);
    put_number(event, size, 8);
    return put_event(log, type, event, data, size, errp);
}

/* What an image is, by the name that QEMU's loader has for it. */
static const char *describe(const RealmImage *image)
{
    const MachineState *machine = current_machine;

    if (g_str_equal(image->name, "dtb")) {
        return "DTB";
    }
    if (g_str_equal(image->name, "bootloader")) {
        return "BOOTLOADER";
    }
    if (!g_strcmp0(image->name, machine->initrd_filename)) {
        return "INITRD";
    }
    /* The segments of an ELF file have names that begin with the file's. */
    return machine->kernel_filename &&
           g_str_has_prefix(image->name, machine->kernel_filename)
           ? "KERNEL" : "IMAGE";
}

static bool put_image(RealmLog *log, const RealmConfig *config,
                      const RealmImage *image, Error **errp)
{
    bool firmware = current_machine->firmware &&
                    image->base == config->ram_base;
    const void *data = realm_shared_ram(image->base, image->size);

    /* One keeps the place of the log; what is not in RAM is for devices. */
    if (!data || image->base == config->log_base) {
        return true;
    }
    return put_blob(log, firmware ? EV_EFI_PLATFORM_FIRMWARE_BLOB2
                                  : EV_POST_CODE2,
                    firmware ? "FIRMWARE" : describe(image), image->base,
                    image->size, data, errp);
}

static bool put_images(RealmLog *log, const RealmConfig *config, Error **errp)
{
    const GArray *images = realm_images();

    for (guint i = 0; i < images->len; i++) {
        if (!put_image(log, config, &g_array_index(images, RealmImage, i),
                       errp)) {
            return false;
        }
    }
    return true;
}

/* In the order in which a host measures. */
static bool put_all(RealmLog *log, const RealmLogFacts *facts, Error **errp)
{
    const RealmConfig *config = facts->config;

    put_header(log);
    return put_version(log, config, errp) &&
           put_params(log, facts->params, errp) &&
           put_extensions(log, facts, errp) &&
           put_ram(log, facts->ram, errp) &&
           put_images(log, config, errp) &&
           put_blob(log, EV_POST_CODE2, "LOG", config->log_base,
                    REALM_LOG_SIZE, NULL, errp) &&
           put_rec(log, facts->rec, errp);
}

bool realm_log_write(const RealmLogFacts *facts, Error **errp)
{
    bool sha256 = facts->params->hash_algo == RMI_HASH_SHA_256;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    RealmLog log = {
        .bytes = bytes,
        .hash = sha256 ? QCRYPTO_HASH_ALGO_SHA256 : QCRYPTO_HASH_ALGO_SHA512,
        .algorithm = sha256 ? TPM_ALG_SHA256 : TPM_ALG_SHA512,
    };

    if (!facts->config->log_base) {
        error_setg(errp, "Realm: the device tree does not fit below the "
                   "kernel, so nothing tells the Realm where the measurement "
                   "log is; leave measurement-log=on out");
        return false;
    }
    if (!put_all(&log, facts, errp)) {
        return false;
    }
    if (bytes->len > REALM_LOG_SIZE) {
        error_setg(errp, "Realm: the measurement log would have %u bytes, more "
                   "than %d; load fewer images, or leave measurement-log=on "
                   "out", bytes->len, REALM_LOG_SIZE);
        return false;
    }
    memcpy(realm_shared_ram(facts->config->log_base, REALM_LOG_SIZE),
           bytes->data, bytes->len);
    return true;
}
