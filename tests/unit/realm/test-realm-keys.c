/*
 * The keys that sign attestation tokens (accel/tcg/realm/machine/keys.c)
 *
 * Purpose: keys are made once, kept where nobody else can read them, and used
 * by every QEMU of the user; what is doubtful is refused with a warning that
 * says which file and what to do, and then there are no tokens.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <gnutls/x509.h>
#include "qemu/rcu.h"
#include "accel/tcg/realm/machine/keys.h"
#include "target/arm/rmm/mig-abi.h"

#define RAK "realm-attestation.key"
#define PLATFORM "platform.key"
#define CERTIFICATES "platform.crt"

static const char *const made[] = { RAK, PLATFORM, "platform.pub" };
static const char *const files[] = {
    RAK, PLATFORM, "platform.pub", CERTIFICATES,
};

/* Where $XDG_STATE_HOME is, and the keys' own folder in it. */
static char *state, *folder;

typedef struct Keys {
    uint8_t der[RMM_KEYS][RMM_MAX_KEY];
    size_t size[RMM_KEYS];
} Keys;

static void set_up(void)
{
    /* A subprocess goes on in the folder that its parent has prepared. */
    state = g_strdup(g_getenv("REALM_KEYS_TEST"));
    if (!state) {
        state = g_dir_make_tmp("realm-keys-XXXXXX", NULL);
        g_setenv("REALM_KEYS_TEST", state, true);
    }
    g_setenv("XDG_STATE_HOME", state, true);
    folder = g_build_filename(state, "qemu-realm", NULL);
}

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void clean(void)
{
    for (int i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = path_of(files[i]);

        g_unlink(path);
        g_rmdir(path);
    }
    g_rmdir(folder);
    g_unlink(folder);
}

static Keys get_keys(void)
{
    Keys keys = { 0 };

    realm_keys_init();
    for (int which = 0; which < RMM_KEYS; which++) {
        keys.size[which] = realm_key(NULL, which, keys.der[which],
                                     RMM_MAX_KEY);
    }
    return keys;
}

static void same_keys(const Keys *a, const Keys *b)
{
    g_assert_cmpint(a->size[RMM_KEY_PLATFORM], !=, 0);
    g_assert_cmpint(a->size[RMM_KEY_REALM_ATTESTATION], !=, 0);
    g_assert_true(!memcmp(a, b, sizeof(*a)));
}

static unsigned mode_of(const char *path)
{
    GStatBuf st;

    g_assert_cmpint(g_stat(path, &st), ==, 0);
    return st.st_mode & 0777;
}

static void test_keys_are_made_for_the_owner_alone(void)
{
    g_autofree char *rak = path_of(RAK), *platform = path_of(PLATFORM);
    mode_t before = umask(0);
    Keys keys;

    clean();
    keys = get_keys();
    umask(before);
    same_keys(&keys, &keys);
    g_assert_false(!memcmp(keys.der[0], keys.der[1], RMM_MAX_KEY));
    g_assert_cmphex(mode_of(folder), ==, 0700);
    g_assert_cmphex(mode_of(rak), ==, 0600);
    g_assert_cmphex(mode_of(platform), ==, 0600);
    clean();
}

static void test_keys_are_read_back(void)
{
    Keys first, again;

    clean();
    first = get_keys();
    again = get_keys();
    same_keys(&first, &again);
    clean();
}

static void test_nothing_but_the_keys_is_left(void)
{
    GDir *dir;
    const char *name;
    unsigned count = 0;

    clean();
    get_keys();
    dir = g_dir_open(folder, 0, NULL);
    while ((name = g_dir_read_name(dir))) {
        g_assert_true(g_str_equal(name, made[0]) ||
                      g_str_equal(name, made[1]) ||
                      g_str_equal(name, made[2]));
        count++;
    }
    g_dir_close(dir);
    g_assert_cmpint(count, ==, G_N_ELEMENTS(made));
    clean();
}

static void test_the_public_key_follows_the_private_one(void)
{
    g_autofree char *platform = path_of(PLATFORM), *pub = path_of(made[2]);
    g_autofree char *first = NULL, *second = NULL;

    clean();
    get_keys();
    g_assert_true(g_file_get_contents(pub, &first, NULL, NULL));
    g_assert_true(g_str_has_prefix(first, "-----BEGIN PUBLIC KEY-----"));
    g_unlink(platform);
    get_keys();
    g_assert_true(g_file_get_contents(pub, &second, NULL, NULL));
    g_assert_cmpstr(first, !=, second);
    clean();
}

#define PROCESSES 8

/* A child that starts when all do, and tells its keys. */
static void run_child(int start, int result)
{
    char byte;
    Keys keys;

    g_assert_cmpint(read(start, &byte, 1), ==, 0);
    keys = get_keys();
    g_assert_cmpint(write(result, &keys, sizeof(keys)), ==, sizeof(keys));
    _exit(0);
}

static void test_processes_at_once_end_with_the_same_keys(void)
{
    for (int round = 0; round < 5; round++) {
        Keys keys[PROCESSES];
        int start[2], result[2];

        clean();
        g_assert_cmpint(pipe(start), ==, 0);
        g_assert_cmpint(pipe(result), ==, 0);
        for (int i = 0; i < PROCESSES; i++) {
            pid_t pid = fork();

            g_assert_cmpint(pid, >=, 0);
            if (!pid) {
                close(start[1]);
                run_child(start[0], result[1]);
            }
        }
        close(start[0]);
        close(start[1]);
        for (int i = 0; i < PROCESSES; i++) {
            /* No more than PIPE_BUF: a whole one at a time. */
            g_assert_cmpint(read(result[0], &keys[i], sizeof(keys[i])), ==,
                            sizeof(keys[i]));
            same_keys(&keys[0], &keys[i]);
        }
        for (int i = 0; i < PROCESSES; i++) {
            int status;

            g_assert_cmpint(wait(&status), >, 0);
            g_assert_cmpint(status, ==, 0);
        }
        close(result[0]);
        close(result[1]);
    }
    clean();
}

/* ---- what is refused; in a subprocess, since a warning is the answer ---- */

static void no_keys(void)
{
    Keys keys = get_keys();

    for (int i = 0; i < sizeof(keys); i++) {
        g_assert_cmpint(((uint8_t *)&keys)[i], ==, 0);
    }
}

/* @prepare, then there are no keys, and the warning has both texts. */
static void refused(void (*prepare)(void), const char *file,
                    const char *remedy)
{
    g_autofree char *pattern = NULL;

    if (g_test_subprocess()) {
        no_keys();
        return;
    }
    clean();
    prepare();
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    pattern = g_strdup_printf("*warning: Realm: no attestation tokens: *%s*%s*",
                              file, remedy);
    g_test_trap_assert_stderr(pattern);
    clean();
}

static void put(const char *name, const void *data, size_t size)
{
    g_autofree char *path = path_of(name);

    g_mkdir_with_parents(folder, 0700);
    g_assert_true(g_file_set_contents(path, data, size, NULL));
    g_assert_cmpint(g_chmod(path, 0600), ==, 0);
}

static void group_may_read(void)
{
    g_autofree char *path = path_of(PLATFORM);

    get_keys();
    g_chmod(path, 0640);
}

static void test_a_file_that_the_group_may_read_is_refused(void)
{
    refused(group_may_read, "others may read or write '*/" PLATFORM "'",
            "chmod 600");
}

static void others_may_write(void)
{
    g_autofree char *path = path_of(RAK);

    get_keys();
    g_chmod(path, 0602);
}

static void test_a_file_that_others_may_write_is_refused(void)
{
    refused(others_may_write, "others may read or write '*/" RAK "'",
            "chmod 600");
}

static void garbage(void)
{
    put(RAK, "no key", 6);
}

static void test_what_is_no_key_is_refused(void)
{
    refused(garbage, "'*/" RAK "' holds no key on P-384", "remove it");
}

static void half_a_key(void)
{
    g_autofree char *path = path_of(RAK), *contents = NULL;
    gsize size;

    get_keys();
    g_assert_true(g_file_get_contents(path, &contents, &size, NULL));
    put(RAK, contents, size - 1);
}

static void test_half_a_key_is_refused(void)
{
    refused(half_a_key, "'*/" RAK "' holds no key on P-384", "remove it");
}

static void empty(void)
{
    put(PLATFORM, "", 0);
}

static void test_an_empty_file_is_refused(void)
{
    refused(empty, "'*/" PLATFORM "' holds no key", "remove it");
}

static void large(void)
{
    static const char zeros[RMM_MAX_KEY + 1];

    put(PLATFORM, zeros, sizeof(zeros));
}

static void test_a_large_file_is_refused(void)
{
    refused(large, "'*/" PLATFORM "' holds no key", "remove it");
}

static void in_place_of_a_key(void)
{
    g_autofree char *path = path_of(PLATFORM);

    g_mkdir_with_parents(path, 0700);
}

static void test_a_folder_in_place_of_a_key_is_refused(void)
{
    refused(in_place_of_a_key, "'*/" PLATFORM "' is not a file of this user",
            "move it away");
}

static void link_to_a_key(void)
{
    g_autofree char *path = path_of(PLATFORM);

    g_mkdir_with_parents(folder, 0700);
    g_assert_cmpint(symlink("/dev/null", path), ==, 0);
}

static void test_a_link_is_refused(void)
{
    refused(link_to_a_key, "cannot open '*/" PLATFORM "'", "");
}

/* Also for root, whom permissions do not stop. */
static void no_folder(void)
{
    g_assert_true(g_file_set_contents(folder, "", 0, NULL));
}

static void test_where_no_folder_can_be_there_are_no_tokens(void)
{
    refused(no_folder, "cannot * '*/qemu-realm", "");
}

/* ---- certificates ---- */

#define OK(call) g_assert_cmpint((call), ==, 0)

static gnutls_x509_privkey_t new_key(gnutls_ecc_curve_t curve)
{
    gnutls_x509_privkey_t key;

    OK(gnutls_x509_privkey_init(&key));
    OK(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                    GNUTLS_CURVE_TO_BITS(curve), 0));
    return key;
}

/* The key that QEMU made, or makes now. */
static gnutls_x509_privkey_t platform_key(void)
{
    Keys keys = get_keys();
    gnutls_datum_t der = { keys.der[RMM_KEY_PLATFORM],
                           keys.size[RMM_KEY_PLATFORM] };
    gnutls_x509_privkey_t key;

    OK(gnutls_x509_privkey_init(&key));
    OK(gnutls_x509_privkey_import2(key, &der, GNUTLS_X509_FMT_DER, NULL, 0));
    return key;
}

/* What makes one chain different from the chain of these tests */
typedef struct Chain {
    unsigned n;                 /* certificates, 3 if 0 */
    unsigned from;              /* the first one that is written */
    unsigned missing;           /* at the end */
    unsigned name_size;         /* of each subject */
    gnutls_ecc_curve_t curve;   /* of all but the platform's, P-384 if 0 */
    bool other_key;             /* not QEMU's platform key */
    bool other_signer;          /* somebody else with the authority's name */
    bool no_authority;          /* the issuer may not sign certificates */
    bool backwards;
} Chain;

/* The chain in PEM and in DER, both in the order of the file. */
static void make_chain(const Chain *chain, GString *pem, GByteArray *der)
{
    unsigned n = chain->n ?: 3;
    gnutls_ecc_curve_t curve = chain->curve ?: GNUTLS_ECC_CURVE_SECP384R1;
    gnutls_x509_privkey_t keys[5], stranger = new_key(curve);
    gnutls_x509_crt_t list[5];

    g_assert_cmpint(n, <=, ARRAY_SIZE(list));
    for (int i = n - 1; i >= 0; i--) {
        g_autofree char *name = g_strnfill(chain->name_size ?: 8, 'A' + i);
        int issuer = MIN(i + 1, n - 1);

        keys[i] = i || chain->other_key ? new_key(curve) : platform_key();
        OK(gnutls_x509_crt_init(&list[i]));
        OK(gnutls_x509_crt_set_version(list[i], 3));
        OK(gnutls_x509_crt_set_serial(list[i], "\1", 1));
        OK(gnutls_x509_crt_set_activation_time(list[i], 0));
        OK(gnutls_x509_crt_set_expiration_time(list[i], 1));
        OK(gnutls_x509_crt_set_dn_by_oid(list[i], "2.5.4.10", 0, name,
                                         strlen(name)));
        OK(gnutls_x509_crt_set_key(list[i], keys[i]));
        OK(gnutls_x509_crt_set_ca_status(
               list[i], i > 1 || (i && !chain->no_authority)));
        OK(gnutls_x509_crt_sign2(list[i], list[issuer],
                                 chain->other_signer && i == 0 ? stranger
                                                               : keys[issuer],
                                 GNUTLS_DIG_SHA384, 0));
    }
    for (int k = chain->from; k < n - chain->missing; k++) {
        int i = chain->backwards ? n - 1 - k : k;
        gnutls_datum_t out;

        OK(gnutls_x509_crt_export2(list[i], GNUTLS_X509_FMT_PEM, &out));
        g_string_append_len(pem, (char *)out.data, out.size);
        gnutls_free(out.data);
        OK(gnutls_x509_crt_export2(list[i], GNUTLS_X509_FMT_DER, &out));
        g_byte_array_append(der, out.data, out.size);
        gnutls_free(out.data);
    }
    for (int i = 0; i < n; i++) {
        gnutls_x509_crt_deinit(list[i]);
        gnutls_x509_privkey_deinit(keys[i]);
    }
    gnutls_x509_privkey_deinit(stranger);
}

static GByteArray *put_chain(const Chain *chain)
{
    g_autoptr(GString) pem = g_string_new("# our platform\n");
    GByteArray *der = g_byte_array_new();

    make_chain(chain, pem, der);
    put(CERTIFICATES, pem->str, pem->len);
    return der;
}

static size_t get_certificates(uint8_t der[MIG_MAX_CERTIFICATES])
{
    realm_keys_init();
    return realm_certificates(NULL, der, MIG_MAX_CERTIFICATES);
}

static void test_certificates_are_given_in_their_order(void)
{
    uint8_t der[MIG_MAX_CERTIFICATES];

    for (int n = 2; n <= 4; n++) {
        g_autoptr(GByteArray) chain = NULL;

        clean();
        chain = put_chain(&(Chain) { .n = n });
        g_assert_cmpmem(der, get_certificates(der), chain->data, chain->len);
    }
    clean();
}

static void test_there_need_be_no_certificates(void)
{
    uint8_t der[MIG_MAX_CERTIFICATES];
    g_autofree char *path = path_of(CERTIFICATES);

    clean();
    g_byte_array_unref(put_chain(&(Chain) { 0 }));
    g_assert_cmpint(get_certificates(der), >, 0);
    g_unlink(path);
    g_assert_cmpint(get_certificates(der), ==, 0);
    clean();
}

#define LEAD_NOWHERE "they do not lead from the platform key to an authority"

/* @chain is refused for @reason, and there are keys all the same. */
static void chain_refused(const Chain *chain, const char *reason)
{
    g_autofree char *pattern = NULL;

    if (g_test_subprocess()) {
        Keys keys = get_keys();
        uint8_t der[MIG_MAX_CERTIFICATES];

        same_keys(&keys, &keys);
        g_assert_cmpint(realm_certificates(NULL, der, sizeof(der)), ==, 0);
        return;
    }
    clean();
    if (chain) {
        g_byte_array_unref(put_chain(chain));
    } else {
        put(CERTIFICATES, "no PEM", 6);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    pattern = g_strdup_printf("*warning: Realm: no platform certificates: '*/"
                              CERTIFICATES "': *%s*; give 2 to 4*", reason);
    g_test_trap_assert_stderr(pattern);
    clean();
}

static void test_what_is_no_certificate_is_refused(void)
{
    chain_refused(NULL, "No certificate");
}

static void test_one_certificate_is_refused(void)
{
    chain_refused(&(Chain) { .n = 1 }, LEAD_NOWHERE);
}

static void test_five_certificates_are_refused(void)
{
    chain_refused(&(Chain) { .n = 5 }, "too many");
}

static void test_certificates_of_another_key_are_refused(void)
{
    chain_refused(&(Chain) { .other_key = true }, LEAD_NOWHERE);
}

static void test_certificates_without_the_platforms_are_refused(void)
{
    chain_refused(&(Chain) { .from = 1 }, LEAD_NOWHERE);
}

static void test_certificates_without_the_authoritys_are_refused(void)
{
    chain_refused(&(Chain) { .missing = 1 }, LEAD_NOWHERE);
}

static void test_certificates_in_another_order_are_refused(void)
{
    chain_refused(&(Chain) { .backwards = true }, LEAD_NOWHERE);
}

static void test_a_certificate_of_another_signer_is_refused(void)
{
    chain_refused(&(Chain) { .other_signer = true }, LEAD_NOWHERE);
}

static void test_a_signer_that_is_no_authority_is_refused(void)
{
    chain_refused(&(Chain) { .no_authority = true }, LEAD_NOWHERE);
}

static void test_certificates_on_another_curve_are_refused(void)
{
    chain_refused(&(Chain) { .curve = GNUTLS_ECC_CURVE_SECP256R1 },
                  LEAD_NOWHERE);
}

static void test_large_certificates_are_refused(void)
{
    chain_refused(&(Chain) { .n = 4, .name_size = 600 }, "4096 bytes");
}

#define TEST(name) g_test_add_func("/realm-keys/" #name, test_##name)

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    /* Children have the allocator's locks as they are: QEMU's thread starts. */
    drain_call_rcu();
    set_up();
    TEST(keys_are_made_for_the_owner_alone);
    TEST(keys_are_read_back);
    TEST(nothing_but_the_keys_is_left);
    TEST(the_public_key_follows_the_private_one);
    TEST(processes_at_once_end_with_the_same_keys);
    TEST(a_file_that_the_group_may_read_is_refused);
    TEST(a_file_that_others_may_write_is_refused);
    TEST(what_is_no_key_is_refused);
    TEST(half_a_key_is_refused);
    TEST(an_empty_file_is_refused);
    TEST(a_large_file_is_refused);
    TEST(a_folder_in_place_of_a_key_is_refused);
    TEST(a_link_is_refused);
    TEST(where_no_folder_can_be_there_are_no_tokens);
    TEST(certificates_are_given_in_their_order);
    TEST(there_need_be_no_certificates);
    TEST(what_is_no_certificate_is_refused);
    TEST(one_certificate_is_refused);
    TEST(five_certificates_are_refused);
    TEST(certificates_of_another_key_are_refused);
    TEST(certificates_without_the_platforms_are_refused);
    TEST(certificates_without_the_authoritys_are_refused);
    TEST(certificates_in_another_order_are_refused);
    TEST(a_certificate_of_another_signer_is_refused);
    TEST(a_signer_that_is_no_authority_is_refused);
    TEST(certificates_on_another_curve_are_refused);
    TEST(large_certificates_are_refused);
    result = g_test_run();
    if (!g_test_subprocess()) {
        g_rmdir(state);
    }
    g_free(folder);
    g_free(state);
    return result;
}
