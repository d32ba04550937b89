/*
 * Run a libFuzzer target over the files of a folder, without libFuzzer
 *
 * Every build runs it, and so shows that faults which were found stay mended.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz-input.h"

static gchar *folder;

static void every_input_of_the_corpus_is_taken(void)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const gchar *name;
    unsigned n = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        gchar *path = g_build_filename(folder, name, NULL);
        gchar *data;
        gsize size;

        g_test_message("%s", path);
        g_assert_true(g_file_get_contents(path, &data, &size, NULL));
        LLVMFuzzerTestOneInput((const uint8_t *)data, size);
        g_free(data);
        g_free(path);
        n++;
    }
    g_dir_close(dir);
    g_assert_cmpuint(n, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    folder = argv[1];
    g_test_add_func("/fuzz/every_input_of_the_corpus_is_taken",
                    every_input_of_the_corpus_is_taken);
    return g_test_run();
}
