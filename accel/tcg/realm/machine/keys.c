/*
 * Realms under TCG: the keys that sign attestation tokens
 *
 * Purpose: an installation's two private keys, made on first use and kept in
 * $XDG_STATE_HOME/qemu-realm/ (~/.local/state/qemu-realm/), with the public
 * half of the platform key beside them for verifiers.  If the user has put
 * certificates of the platform key there, migrations send them along.
 *
 * Invariants:
 * - Nobody but the owner can read a private key: a file that others may
 *   read is not used, and neither is one of somebody else.
 * - There are both keys, or none and a warning that names file and remedy.
 * - A key file is complete or absent: it gets its name after it was written,
 *   and only if no other QEMU has been faster.
 * - There are certificates that another RMM can follow from this key up to an
 *   authority, or none and a warning.
 *
 * Lock rule: read once under the BQL, and constant after that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "target/arm/rmm/certificates.h"
#include "target/arm/rmm/cose.h"
#include "target/arm/rmm/mig-abi.h"
#include "keys.h"

#define CERTIFICATES "platform.crt"     /* PEM */
#define MAX_PEM (4 * MIG_MAX_CERTIFICATES)

static const char *const names[RMM_KEYS] = {
    [RMM_KEY_REALM_ATTESTATION] = "realm-attestation.key",
    [RMM_KEY_PLATFORM] = "platform.key",
};

static struct {
    uint8_t der[RMM_MAX_KEY];
    size_t size;
} keys[RMM_KEYS];

static struct {
    uint8_t der[MIG_MAX_CERTIFICATES];
    size_t size;
} certificates;

static char *state_folder(void)
{
    const char *state = g_getenv("XDG_STATE_HOME");

    if (state && g_path_is_absolute(state)) {
        return g_build_filename(state, "qemu-realm", NULL);
    }
    return g_build_filename(g_get_home_dir(), ".local", "state", "qemu-realm",
                            NULL);
}

/* A new key on P-384 as PKCS #8; GnuTLS's result. */
static int generate_key(gnutls_datum_t *der)
{
    gnutls_x509_privkey_t key;
    int ret = gnutls_x509_privkey_init(&key);

    if (ret < 0) {
        return ret;
    }
    ret = gnutls_x509_privkey_generate(
        key, GNUTLS_PK_ECDSA,
        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1), 0);
    if (ret == 0) {
        ret = gnutls_x509_privkey_export2_pkcs8(
            key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN, der);
    }
    gnutls_x509_privkey_deinit(key);
    return ret;
}

/* Write @der to a new file with a name of its own, then call it @path. */
static bool write_key(const char *path, const gnutls_datum_t *der,
                      Error **errp)
{
    g_autofree char *temporary = g_strdup_printf("%s.XXXXXX", path);
    /* O_EXCL is implied */
    int fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0600);
    bool ok;

    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot create '%s'", temporary);
        return false;
    }
    ok = qemu_write_full(fd, der->data, der->size) == der->size &&
         fsync(fd) == 0;
    ok &= close(fd) == 0;
    /* Unlike rename, link fails if another QEMU has made one meanwhile. */
    ok = ok && (link(temporary, path) == 0 || errno == EEXIST);
    if (!ok) {
        error_setg_errno(errp, errno, "cannot write '%s'", path);
    }
    unlink(temporary);
    return ok;
}

static bool make_key(const char *path, Error **errp)
{
    gnutls_datum_t der = { NULL, 0 };
    int ret = generate_key(&der);
    bool ok;

    if (ret < 0) {
        error_setg(errp, "cannot make a key: %s", gnutls_strerror(ret));
        return false;
    }
    ok = write_key(path, &der, errp);
    gnutls_memset(der.data, 0, der.size);
    gnutls_free(der.data);
    return ok;
}

/* Whether the RMM can use this key. */
static bool is_key(const uint8_t *der, size_t size)
{
    CoseKey *key = cose_key_new(der, size);

    cose_key_free(key);
    return key;
}

static bool read_key(int fd, const char *path, RmmKey which, Error **errp)
{
    struct stat st;
    ssize_t size;

    if (fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "cannot look at '%s'", path);
        return false;
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
        error_setg(errp, "'%s' is not a file of this user; move it away, and "
                   "a new key is made", path);
        return false;
    }
    if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        error_setg(errp, "others may read or write '%s'; if they have not, "
                   "use 'chmod 600', else remove it, and a new key is made",
                   path);
        return false;
    }
    size = st.st_size <= RMM_MAX_KEY
           ? RETRY_ON_EINTR(read(fd, keys[which].der, RMM_MAX_KEY)) : 0;
    if (size <= 0 || size != st.st_size ||
        !is_key(keys[which].der, size)) {
        error_setg(errp, "'%s' holds no key on P-384; remove it, and a new "
                   "one is made", path);
        return false;
    }
    keys[which].size = size;
    return true;
}

static int open_key(const char *path)
{
    return RETRY_ON_EINTR(open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
                               O_NONBLOCK));
}

static bool load_key(const char *folder, RmmKey which, Error **errp)
{
    g_autofree char *path = g_build_filename(folder, names[which], NULL);
    int fd = open_key(path);
    bool ok;

    if (fd < 0 && errno == ENOENT) {
        if (!make_key(path, errp)) {
            return false;
        }
        fd = open_key(path);
    }
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot open '%s'", path);
        return false;
    }
    ok = read_key(fd, path, which, errp);
    close(fd);
    return ok;
}

/* The public half of @private in PEM; GnuTLS's result. */
static int export_public(gnutls_privkey_t private, gnutls_datum_t *pem)
{
    gnutls_pubkey_t public;
    int ret = gnutls_pubkey_init(&public);

    if (ret < 0) {
        return ret;
    }
    ret = gnutls_pubkey_import_privkey(public, private, 0, 0);
    if (ret == 0) {
        ret = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, pem);
    }
    gnutls_pubkey_deinit(public);
    return ret;
}

static int platform_public(gnutls_datum_t *pem)
{
    gnutls_datum_t der = { keys[RMM_KEY_PLATFORM].der,
                           keys[RMM_KEY_PLATFORM].size };
    gnutls_privkey_t private;
    int ret = gnutls_privkey_init(&private);

    if (ret < 0) {
        return ret;
    }
    ret = gnutls_privkey_import_x509_raw(private, &der, GNUTLS_X509_FMT_DER,
                                         NULL, 0);
    if (ret == 0) {
        ret = export_public(private, pem);
    }
    gnutls_privkey_deinit(private);
    return ret;
}

static bool file_holds(const char *path, const gnutls_datum_t *wanted)
{
    g_autofree char *contents = NULL;
    gsize size;

    return g_file_get_contents(path, &contents, &size, NULL) &&
           size == wanted->size && !memcmp(contents, wanted->data, size);
}

/* Write platform.pub for verifiers, unless it has this key already. */
static bool publish_platform_key(const char *folder, Error **errp)
{
    g_autofree char *path = g_build_filename(folder, "platform.pub", NULL);
    gnutls_datum_t pem = { NULL, 0 };
    GError *err = NULL;
    int ret = platform_public(&pem);
    bool ok;

    if (ret < 0) {
        error_setg(errp, "platform key: %s", gnutls_strerror(ret));
        return false;
    }
    ok = file_holds(path, &pem) ||
         g_file_set_contents(path, (char *)pem.data, pem.size, &err);
    if (!ok) {
        error_setg(errp, "%s", err->message);
        g_error_free(err);
    }
    gnutls_free(pem.data);
    return ok;
}

static bool load_keys(const char *folder, Error **errp)
{
    if (g_mkdir_with_parents(folder, 0700) < 0) {
        error_setg(errp, "cannot create '%s': %s; name a folder that can be "
                   "written to in XDG_STATE_HOME", folder, g_strerror(errno));
        return false;
    }
    for (int which = 0; which < RMM_KEYS; which++) {
        if (!load_key(folder, which, errp)) {
            return false;
        }
    }
    return publish_platform_key(folder, errp);
}

/* ---- certificates of the platform key ---- */

/* Whether another RMM can follow them from the platform key to an authority. */
static bool are_certificates(const uint8_t *der, size_t size)
{
    CoseKey *key = cose_key_new(keys[RMM_KEY_PLATFORM].der,
                                keys[RMM_KEY_PLATFORM].size);
    uint8_t own[COSE_POINT_SIZE], authority[COSE_POINT_SIZE];

    cose_key_point(key, own);
    cose_key_free(key);
    return certificates_check(der, size, own, authority);
}

/* Write @list to @certificates; why not, or NULL. */
static const char *set_certificates(const gnutls_x509_crt_t *list, unsigned n)
{
    size_t size = 0;

    for (unsigned i = 0; i < n; i++) {
        size_t room = sizeof(certificates.der) - size;

        if (gnutls_x509_crt_export(list[i], GNUTLS_X509_FMT_DER,
                                   certificates.der + size, &room) < 0) {
            return "they have more than " stringify(MIG_MAX_CERTIFICATES)
                   " bytes in DER";
        }
        size += room;
    }
    if (!are_certificates(certificates.der, size)) {
        return "they do not lead from the platform key to an authority";
    }
    certificates.size = size;
    return NULL;
}

static const char *read_certificates(const gnutls_datum_t *pem)
{
    gnutls_x509_crt_t list[CERTIFICATES_MAX];
    unsigned n = CERTIFICATES_MAX;
    int ret = gnutls_x509_crt_list_import(
        list, &n, pem, GNUTLS_X509_FMT_PEM,
        GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    const char *why;

    if (ret < 0) {
        return ret == GNUTLS_E_SHORT_MEMORY_BUFFER ? "there are too many"
                                                   : gnutls_strerror(ret);
    }
    why = set_certificates(list, n);
    for (unsigned i = 0; i < n; i++) {
        gnutls_x509_crt_deinit(list[i]);
    }
    return why;
}

static const char *read_certificate_file(int fd)
{
    g_autofree uint8_t *pem = g_malloc(MAX_PEM);
    ssize_t size = RETRY_ON_EINTR(read(fd, pem, MAX_PEM));

    if (size < 0) {
        return g_strerror(errno);
    }
    return size == MAX_PEM ? "the file is too large"
                           : read_certificates(&(gnutls_datum_t) { pem, size });
}

static bool load_certificates(const char *folder, Error **errp)
{
    g_autofree char *path = g_build_filename(folder, CERTIFICATES, NULL);
    int fd = RETRY_ON_EINTR(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    const char *why;

    if (fd < 0 && errno == ENOENT) {
        return true;
    }
    why = fd < 0 ? g_strerror(errno) : read_certificate_file(fd);
    if (fd >= 0) {
        close(fd);
    }
    if (why) {
        error_setg(errp, "'%s': %s; give %d to %d certificates on P-384 in "
                   "PEM, from that of platform.pub, each signed by the next, "
                   "up to the self-signed one of an authority, or remove the "
                   "file", path, why, CERTIFICATES_MIN, CERTIFICATES_MAX);
    }
    return !why;
}

void realm_keys_init(void)
{
    g_autofree char *folder = state_folder();
    Error *err = NULL;

    certificates.size = 0;
    if (!load_keys(folder, &err)) {
        warn_reportf_err(err, "Realm: no attestation tokens: ");
        gnutls_memset(keys, 0, sizeof(keys));
    } else if (!load_certificates(folder, &err)) {
        warn_reportf_err(err, "Realm: no platform certificates: ");
    }
}

size_t realm_key(void *opaque, RmmKey which, void *buf, size_t size)
{
    assert(size >= keys[which].size);
    memcpy(buf, keys[which].der, keys[which].size);
    return keys[which].size;
}

size_t realm_certificates(void *opaque, void *buf, size_t size)
{
    assert(size >= certificates.size);
    memcpy(buf, certificates.der, certificates.size);
    return certificates.size;
}
