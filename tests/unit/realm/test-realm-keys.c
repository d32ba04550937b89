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
#include "qemu/rcu.h"
#include "accel/tcg/realm/machine/keys.h"

#define RAK "realm-attestation.key"
#define PLATFORM "platform.key"

static const char *const files[] = { RAK, PLATFORM, "platform.pub" };

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
        g_assert_true(g_str_equal(name, files[0]) ||
                      g_str_equal(name, files[1]) ||
                      g_str_equal(name, files[2]));
        count++;
    }
    g_dir_close(dir);
    g_assert_cmpint(count, ==, G_N_ELEMENTS(files));
    clean();
}

static void test_the_public_key_follows_the_private_one(void)
{
    g_autofree char *platform = path_of(PLATFORM), *pub = path_of(files[2]);
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
    result = g_test_run();
    if (!g_test_subprocess()) {
        g_rmdir(state);
    }
    g_free(folder);
    g_free(state);
    return result;
}
