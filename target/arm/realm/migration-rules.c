/*
 * Rules of a Realm's migration (see migration-rules.h)
 *
 * Purpose: what a person wrote, to what the RMM compares with.
 *
 * Invariants: the rules are part of the Realm's measurement, so their order
 * matters, and no line is skipped.  What could never let anybody in is refused
 * here, where somebody reads why.
 *
 * Lock rule: none, no state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "migration-rules.h"
#include "policy-text.h"

#define OPTION "migration-rules"
#define FORMS "'signer TYPE ID >= VERSION' or 'measurement TYPE MEASUREMENT'"

/* One number of a version, up to its end; NULL if there is none. */
static const char *read_number(uint32_t *number, const char *text)
{
    uint64_t n = 0;
    const char *p;

    for (p = text; g_ascii_isdigit(*p) && n <= UINT32_MAX; p++) {
        n = 10 * n + g_ascii_digit_value(*p);
    }
    *number = n;
    return p > text && n <= UINT32_MAX ? p : NULL;
}

static bool read_version(uint32_t version[4], const char *text)
{
    for (int i = 0; i < 4; i++) {
        text = read_number(&version[i], text);
        if (!text || *text != '.') {
            return text && !*text;
        }
        text++;
    }
    return false;
}

static bool set_version(RealmRule *rule, const char *version, Error **errp)
{
    if (!read_version(rule->version, version)) {
        error_setg(errp, "'%.64s' is no version; give one to four numbers with "
                   "points between them, such as 1.2.0", version);
        return false;
    }
    return true;
}

static bool set_type(RealmRule *rule, const char *type, Error **errp)
{
    if (!*type || strlen(type) >= sizeof(rule->type) ||
        !g_utf8_validate(type, -1, NULL)) {
        error_setg(errp, "a component's type has 1 to %zu bytes of UTF-8, "
                   "this one %zu bytes; give the type that a platform token "
                   "has, or *", sizeof(rule->type) - 1, strlen(type));
        return false;
    }
    if (!g_str_equal(type, "*")) {
        memcpy(rule->type, type, strlen(type));
    }
    return true;
}

static bool set_value(RealmRule *rule, const char *digits, Error **errp)
{
    size_t size = policy_text_hex(rule->value, sizeof(rule->value), digits);

    if (size != 32 && size != 48 && size != 64) {
        error_setg(errp, "'%.128s' is no %s; give 64, 96 or 128 hexadecimal "
                   "digits", digits, rule->kind == REALM_RULE_SIGNER
                   ? "signer's id" : "measurement");
        return false;
    }
    rule->value_size = size;
    return true;
}

static bool read_words(RealmRule *rule, char **words, int n, Error **errp)
{
    if (g_str_equal(words[0], "signer") && n == 5 &&
        g_str_equal(words[3], ">=")) {
        rule->kind = REALM_RULE_SIGNER;
    } else if (g_str_equal(words[0], "measurement") && n == 3) {
        rule->kind = REALM_RULE_MEASUREMENT;
    } else {
        error_setg(errp, "this is no rule, '%.32s' and %d words; give " FORMS
                   ", and a type with blanks in quotes", words[0], n - 1);
        return false;
    }
    return set_type(rule, words[1], errp) && set_value(rule, words[2], errp) &&
           (rule->kind != REALM_RULE_SIGNER ||
            set_version(rule, words[4], errp));
}

/* A line with something in it that is no comment. */
static bool read_rule(RealmPolicy *policy, char **words, int n, Error **errp)
{
    RealmRule rule = { 0 };

    if (policy->num_rules == REALM_MAX_RULES) {
        error_setg(errp, "there are more than %d rules; give fewer",
                   REALM_MAX_RULES);
        return false;
    }
    if (!read_words(&rule, words, n, errp)) {
        return false;
    }
    policy->rules[policy->num_rules++] = rule;
    return true;
}

static bool read_line(RealmPolicy *policy, char *line, Error **errp)
{
    g_autoptr(GError) err = NULL;
    g_auto(GStrv) words = NULL;
    int n;

    /* GLib finds a comment behind a blank, but not behind a tabulator. */
    g_strstrip(g_strdelimit(line, "\t", ' '));
    if (g_shell_parse_argv(line, &n, &words, &err)) {
        return read_rule(policy, words, n, errp);
    }
    if (g_error_matches(err, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING)) {
        return true;
    }
    error_setg(errp, "%s; give " FORMS, err->message);
    return false;
}

bool migration_rules_read(RealmPolicy *policy, const char *path, Error **errp)
{
    ERRP_GUARD();
    g_autofree char *text = policy_text_read(path, OPTION, "rules", errp);
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
    RealmPolicy next = *policy;

    if (!text) {
        return false;
    }
    next.num_rules = 0;
    memset(next.rules, 0, sizeof(next.rules));
    for (int i = 0; lines[i]; i++) {
        if (!read_line(&next, lines[i], errp)) {
            error_prepend(errp, "rme-guest: " OPTION ": %s, line %d: ", path,
                          i + 1);
            return false;
        }
    }
    if (!next.num_rules) {
        error_setg(errp, "rme-guest: " OPTION ": no rule in %s; give " FORMS,
                   path);
        return false;
    }
    *policy = next;
    return true;
}
