/*
 * What the files and properties of a migration policy are written in
 *
 * Purpose: a bounded text file, and hexadecimal digits.
 *
 * Invariants: at most MAX_TEXT bytes of a file are ever kept.
 *
 * Lock rule: none, no state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "policy-text.h"

#define MAX_TEXT (64 * 1024)

/* Up to @room bytes from @file; -1 with errno set if it cannot be read. */
static ssize_t read_some(FILE *file, char *text, size_t room)
{
    size_t size = fread(text, 1, room, file);

    return ferror(file) ? -1 : size;
}

char *policy_text_read(const char *path, const char *option,
                       const char *contents, Error **errp)
{
    g_autofree char *text = g_malloc0(MAX_TEXT + 2);
    FILE *file = fopen(path, "re");
    ssize_t size = file ? read_some(file, text, MAX_TEXT + 1) : -1;

    if (size < 0) {
        error_setg(errp, "rme-guest: %s: %s: %s; give a file with %s", option,
                   path, g_strerror(errno), contents);
    } else if (size > MAX_TEXT || strlen(text) != size) {
        error_setg(errp, "rme-guest: %s: %s is not a text of at most %d "
                   "bytes; give a file with %s", option, path, MAX_TEXT,
                   contents);
        size = -1;
    }
    if (file) {
        fclose(file);
    }
    return size < 0 ? NULL : g_steal_pointer(&text);
}

size_t policy_text_hex(uint8_t *out, size_t room, const char *digits)
{
    size_t n = strlen(digits) / 2;

    if (n > room || digits[2 * n]) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        int high = g_ascii_xdigit_value(digits[2 * i]);
        int low = g_ascii_xdigit_value(digits[2 * i + 1]);

        if (high < 0 || low < 0) {
            return 0;
        }
        out[i] = high << 4 | low;
    }
    return n;
}
