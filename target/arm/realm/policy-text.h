/*
 * What the files and properties of a migration policy are written in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_POLICY_TEXT_H
#define TARGET_ARM_REALM_POLICY_TEXT_H

/*
 * The text in the file at @path, for the caller to free; NULL with @errp set
 * if it cannot be read, is too large, or has zero bytes.  The error names the
 * property @option of rme-guest, and asks for a file with @contents.
 */
char *policy_text_read(const char *path, const char *option,
                       const char *contents, Error **errp);

/*
 * Decode @digits, two hexadecimal ones for each byte, to @out.  Returns the
 * number of bytes; 0 if there is anything else in it, or more than @room bytes.
 */
size_t policy_text_hex(uint8_t *out, size_t room, const char *digits);

#endif
