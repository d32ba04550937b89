/*
 * What the platform is made of (see software.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <cbor.h>
#include <gnutls/crypto.h>
#include <nettle/version.h>
#include "software.h"
#include "source-hash.h"                /* made by the build */

static const uint8_t source_hash[TOKEN_HASH_SIZE] = RMM_SOURCE_HASH;

static TokenComponent library(const char *type, char *version)
{
    TokenComponent c = { .type = type };
    char *text = g_strdup_printf("%s %s", type, version);
    int err;

    g_strlcpy(c.version, version, sizeof(c.version));
    err = gnutls_hash_fast(GNUTLS_DIG_SHA256, text, strlen(text),
                           c.measurement);
    g_assert(err == 0);
    g_free(text);
    g_free(version);
    return c;
}

void software_components(TokenComponent out[SOFTWARE_COMPONENTS])
{
    out[0] = (TokenComponent) { .type = "RMM model", .version = "1.0-rel0" };
    memcpy(out[0].measurement, source_hash, sizeof(source_hash));
    out[1] = library("GnuTLS", g_strdup(gnutls_check_version(NULL)));
    out[2] = library("nettle", g_strdup_printf("%d.%d",
                                               nettle_version_major(),
                                               nettle_version_minor()));
    out[3] = library("libcbor", g_strdup_printf("%d.%d.%d",
                                                CBOR_MAJOR_VERSION,
                                                CBOR_MINOR_VERSION,
                                                CBOR_PATCH_VERSION));
}
