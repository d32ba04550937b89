/*
 * What the models of Realm migration have in common: rules that can be taken
 * out, properties, and situations. `check` gives the definitions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* NO(X): 1 with -DNO_X, which takes the rule X out; else 0 */
#define NO(x)           DEFINED(NO_ ## x)
#define DEFINED(value)  DEFINED_(value)
#define DEFINED_(value) SECOND(COMMA_ ## value 1, 0, 0)
#define COMMA_1         0,
#define SECOND(...)     SECOND_(__VA_ARGS__)
#define SECOND_(a, b, ...) b

/* REACH=n: is situation n possible? It must be, or the models show nothing. */
#ifndef REACH
#define REACH 0
#endif
#define SITUATION(n, c) assert(REACH != n || !(c))

/* ONLY=n: check property n alone; likewise none of them beside a situation */
#ifndef ONLY
#define ONLY (REACH == 0 -> 0 : -1)
#endif
#define PROPERTY(n, c)  assert(!(ONLY == 0 || ONLY == n) || (c))
