/* test_plot.c - plots have the same bytes twice, hold what they should, and escape what they are given.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/markup.h"
#include "base/path.h"
#include "draw/plot.h"

static char folder[PATH_LEN];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/plot-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err;

    (void)state;
    return path_remove_tree(folder, &err);
}

static const char *at(const char *name)
{
    static char paths[4][PATH_LEN];
    static int next;
    char *path = paths[next++ % 4];

    assert_int_equal(path_format(path, NULL, "%s/%s", folder, name), 0);
    return path;
}

static char *read_all(const char *name, size_t *size)
{
    struct err err = {0};
    char *text;

    if (path_read(&text, size, at(name), 1 << 26, &err) < 0)
        fail_msg("%s", err.msg);
    return text;
}

static bool same_bytes(const char *a, const char *b)
{
    size_t n, m;
    char *x = read_all(a, &n), *y = read_all(b, &m);
    bool same = n == m && memcmp(x, y, n) == 0;

    free(x);
    free(y);
    return same;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;

    for (; (text = strstr(text, word)) != NULL; text += strlen(word))
        n++;
    return n;
}

static void curve(const char *name, double last)
{
    const double x[] = {0, 1, 2, 3}, y[] = {3, NAN, 2, last}, dots[] = {2.5, 2.25, 2, INFINITY};
    const struct plot_series series[] = {{"train", x, y, 4, false}, {"valid", x, dots, 4, true}};
    const struct plot_options o = {.title = "Loss <nat>", .x_label = "epoch", .y_label = "loss"};
    struct err err = {0};

    if (plot_lines(at(name), &o, series, 2, &err) < 0)
        fail_msg("%s", err.msg);
}

static void curves_are_repeatable(void **state)
{
    size_t size;
    char *svg, *png;

    (void)state;
    curve("a.svg", 1);
    curve("b.png", 1);
    curve("b.svg", 1);
    curve("a.png", 1);
    curve("c.svg", 1.5);
    curve("c.png", 1.5);
    assert_true(same_bytes("a.svg", "b.svg") && same_bytes("a.png", "b.png"));
    assert_false(same_bytes("a.svg", "c.svg") || same_bytes("a.png", "c.png")); /* the control */
    svg = read_all("a.svg", &size);
    assert_int_equal(count(svg, "<circle"), 3);         /* the infinite one is left out */
    assert_int_equal(count(svg, "#d55e00"), 1 + 1 + 3); /* key, line, dots */
    assert_non_null(strstr(svg, "Loss &lt;nat&gt;"));
    free(svg);
    png = read_all("a.png", &size);
    assert_memory_equal(png, "\x89PNG\r\n", 6);
    free(png);
}

static void odd_series_are_drawn(void **state)
{
    enum { MANY = 50000 };
    const double nothing[] = {NAN, INFINITY}, flat[] = {2, 2}, rates[] = {1e-7, 10};
    const struct plot_options o = {.title = "", .x_label = "", .y_label = ""};
    const struct plot_options log_x = {.title = "", .x_label = "", .y_label = "", .log_x = true};
    const struct plot_options whole = {.title = "", .x_label = "", .y_label = "", .whole_x = true};
    const double epochs[] = {1, 2};
    struct plot_series s = {"none", nothing, nothing, 2, false};
    double *x = calloc(MANY, sizeof *x), *y = calloc(MANY, sizeof *y);
    struct err err = {0};
    size_t size;
    char *svg;

    (void)state;
    assert_int_equal(plot_lines(at("nothing.svg"), &o, &s, 1, &err), 0);
    assert_int_equal(plot_lines(at("empty.svg"), &o, NULL, 0, &err), 0);
    s = (struct plot_series){"flat", flat, flat, 2, true};
    assert_int_equal(plot_lines(at("flat.svg"), &o, &s, 1, &err), 0);
    s = (struct plot_series){"rates", rates, flat, 2, true};
    assert_int_equal(plot_lines(at("log.svg"), &log_x, &s, 1, &err), 0);
    svg = read_all("log.svg", &size);
    assert_non_null(strstr(svg, ">0.0001<"));
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, ">-0<"));
    free(svg);
    for (int k = 0; k < 2;
         k++) { /* two epochs: no tick between them, and with any x there are some */
        s = (struct plot_series){"epochs", epochs, flat, 2, true};
        assert_int_equal(plot_lines(at("epochs.svg"), k == 0 ? &whole : &o, &s, 1, &err), 0);
        svg = read_all("epochs.svg", &size);
        assert_true((strstr(svg, ">1.2<") == NULL) == (k == 0));
        free(svg);
    }
    for (int i = 0; i < MANY; i++) {
        x[i] = i;
        y[i] = i == 777 ? 9 : sin(i * 0.01);
    }
    s = (struct plot_series){"many", x, y, MANY, false};
    assert_int_equal(plot_lines(at("many.svg"), &o, &s, 1, &err), 0);
    svg = read_all("many.svg", &size);
    assert_true(size < 100000);
    free(svg);
    for (int i = 0; i < MANY; i++) /* columns in turn: more of them than the page has */
        x[i] = i % 2;
    assert_int_equal(plot_lines(at("jumps.svg"), &o, &s, 1, &err), 0);
    free(x);
    free(y);
}

/* A few points far above the rest leave the frame, and the plot says so; the others keep their room. */
static void one_high_loss_flattens_nothing(void **state)
{
    struct plot_options o = {.title = "Loss", .x_label = "epoch", .y_label = "nat"};
    double x[200], y[200];
    const struct plot_series s = {"valid", x, y, 200, true};
    struct err err = {0};
    char *plain, *calm;
    size_t size;

    (void)state;
    for (int i = 0; i < 200; i++) {
        x[i] = i;
        y[i] = 2 - i / 200.0;
    }
    y[100] = 500;
    assert_int_equal(plot_lines(at("plain.svg"), &o, &s, 1, &err), 0);
    o.calm = true;
    assert_int_equal(plot_lines(at("calm.svg"), &o, &s, 1, &err), 0);
    plain = read_all("plain.svg", &size);
    calm = read_all("calm.svg", &size);
    assert_non_null(strstr(plain, ">500<"));
    assert_null(strstr(plain, "highest"));
    assert_null(strstr(calm, ">500<"));
    assert_non_null(strstr(calm, ">highest: 500<"));
    assert_int_equal(count(plain, "<circle"), 200);
    assert_int_equal(count(calm, "<circle"), 199);
    assert_int_equal(count(calm, "stroke=\"#0072b2\"") - count(plain, "stroke=\"#0072b2\""), 1);
    free(plain);
    free(calm);
}

/* The second of two equal curves is dashed, so that the first is seen; another one is not. */
static void a_curve_hides_no_other(void **state)
{
    const struct plot_options o = {.title = "Rate", .x_label = "epoch", .y_label = "rate"};
    const double x[] = {0, 1, 2}, y[] = {1, 3, 2}, z[] = {1, 2, 2};
    const struct plot_series same[] = {{"head", x, y, 3, false}, {"first layers", x, y, 3, false}};
    const struct plot_series other[] = {{"head", x, y, 3, false}, {"first layers", x, z, 3, false}};
    struct err err = {0};
    size_t size;
    char *text;

    (void)state;
    assert_int_equal(plot_lines(at("same.svg"), &o, same, 2, &err), 0);
    assert_int_equal(plot_lines(at("other.svg"), &o, other, 2, &err), 0);
    text = read_all("same.svg", &size);
    assert_int_equal(count(text, "stroke-dasharray"), 1);
    free(text);
    text = read_all("other.svg", &size);
    assert_int_equal(count(text, "stroke-dasharray"), 0);
    free(text);
}

/* Numbers of an attribute: the N-th of NAME="...". */
static double attribute(const char *text, const char *name, int n)
{
    for (; n >= 0 && text; n--) {
        text = strstr(text, name);
        text = text ? text + strlen(name) : NULL;
    }
    return text ? strtod(text, NULL) : NAN;
}

/* Wide numbers beside the axis push the frame to the right, a long title makes the page wider, and a legend that does
 * not fit has another row. */
static void texts_have_their_room(void **state)
{
    struct plot_options o = {.title = "Rate", .x_label = "epoch", .y_label = "rate", .width = 480};
    const double x[] = {0, 1}, small[] = {1, 2}, wide[] = {0.000001, 0.0000023};
    const uint32_t counts[] = {3, 1, 0, 4};
    char a[] = "a", b[] = "b", *vocab[] = {a, b};
    const char *title =
        "Confusion matrix, validation pictures of a set with a long name, random split (42)";
    struct plot_series s[] = {{"a run with a name of some length", x, small, 2, false},
                              {"another one with a name as long", x, small, 2, false},
                              {"and a third one, no shorter", x, small, 2, false}};
    double narrow, broad;
    struct err err = {0};
    size_t size;
    char *text;

    (void)state;
    assert_int_equal(plot_lines(at("narrow.svg"), &o, s, 1, &err), 0);
    text = read_all("narrow.svg", &size);
    narrow = attribute(text, "<text x=\"", 0);
    free(text);
    s[0].y = wide;
    assert_int_equal(plot_lines(at("broad.svg"), &o, s, 1, &err), 0);
    text = read_all("broad.svg", &size);
    broad = attribute(text, "<text x=\"", 0);
    free(text);
    assert_true(broad > narrow + 10);
    s[0].y = small;
    assert_int_equal(plot_lines(at("legend.svg"), &o, s, 3, &err), 0);
    text = read_all("legend.svg", &size);
    assert_non_null(strstr(text, "y=\"48\""));
    assert_non_null(strstr(text, "y=\"66\""));
    free(text);
    assert_int_equal(plot_confusion(at("title.svg"), title, counts, vocab, 2, &err), 0);
    text = read_all("title.svg", &size);
    assert_true(attribute(text, "width=\"", 0) > 0.5 * 16 * (double)strlen(title));
    free(text);
}

/* A PNG's size is in its first chunk, most significant byte first. */
static int png_number(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;

    return b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

static void confusion_is_a_png_in_memory(void **state)
{
    char a[] = "a", b[] = "b", *vocab[] = {a, b}, **many;
    const uint32_t counts[] = {3, 1, 0, 4};
    struct plot_png png;
    uint32_t *zeros;
    struct err err = {0};

    (void)state;
    assert_int_equal(plot_confusion_png(&png, "Title", counts, vocab, 2, &err), 0);
    assert_memory_equal(png.bytes, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(png_number(png.bytes + 16), png.width);
    assert_int_equal(png_number(png.bytes + 20), png.height);
    assert_memory_equal(png.bytes + png.size - 8, "IEND", 4);
    free(png.bytes);

    many = calloc(PLOT_PNG_MOST, sizeof *many);
    zeros = calloc((size_t)PLOT_PNG_MOST * PLOT_PNG_MOST, sizeof *zeros);
    for (int i = 0; i < PLOT_PNG_MOST; i++)
        many[i] = a;
    assert_true(plot_confusion_png(&png, "Title", zeros, many, PLOT_PNG_MOST, &err) < 0);
    assert_int_equal(err.kind, ERR_INPUT);
    free(many);
    free(zeros);
}

static void confusion_says_what_it_shows(void **state)
{
    char *vocab[] = {"<script>alert('a')</script>", "b & c", "\xff\x01 not UTF-8"};
    const uint32_t counts[] = {5, 2, 0, /**/ 0, 7, 0, /**/ 0, 0, 0};
    struct err err = {0};
    size_t size;
    char *svg;

    (void)state;
    assert_int_equal(plot_confusion(at("m.svg"), "Title", counts, vocab, 3, &err), 0);
    assert_int_equal(plot_confusion(at("m.png"), "Title", counts, vocab, 3, &err), 0);
    assert_int_equal(plot_confusion(at("n.svg"), "Title", counts, vocab, 3, &err), 0);
    assert_true(same_bytes("m.svg", "n.svg"));
    svg = read_all("m.svg", &size);
    assert_null(strstr(svg, "<script>"));
    assert_non_null(strstr(svg, "&lt;script&gt;alert(&#39;a&#39;)"));
    assert_non_null(strstr(svg, "b &amp; c"));
    assert_non_null(strstr(svg, "\xef\xbf\xbd\xef\xbf\xbd not UTF-8"));
    assert_int_equal(count(svg, "<title>"), 3); /* cells that are not 0 */
    assert_non_null(strstr(svg, "predicted b &amp; c: 2 of 7"));
    assert_non_null(strstr(svg, "14 pictures, 2 mistaken"));
    assert_non_null(strstr(svg, ">actual<"));
    free(svg);
}

/* Classes as many as some sets have: the page stays of a size that can be looked at. */
static void many_classes_fit(void **state)
{
    static const int32_t sizes[] = {1, 2, 11, 37, 120, 1000};
    char *vocab[1000], size_text[64];
    struct err err = {0};
    size_t size;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        vocab[i] = calloc(1, 64);
        snprintf(vocab[i], 64, "a_class_with_a_long_name_%d_%030d", i, i);
    }
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint32_t *counts = calloc((size_t)sizes[k] * (size_t)sizes[k], sizeof *counts);
        double width = 0;
        char *svg;

        for (int32_t c = 0; c < sizes[k]; c++)
            counts[c * sizes[k] + c] = 1;
        snprintf(size_text, sizeof size_text, "%d.svg", sizes[k]);
        assert_int_equal(plot_confusion(at(size_text), "Title", counts, vocab, sizes[k], &err), 0);
        svg = read_all(size_text, &size);
        assert_int_equal(sscanf(svg, "<svg xmlns=%*s width=\"%lf", &width), 1);
        assert_true(width >= 360 && width < 2000);
        free(svg);
        free(counts);
    }
    for (int i = 0; i < 1000; i++)
        free(vocab[i]);
}

static void errors_name_the_file(void **state)
{
    const uint32_t counts[] = {1};
    char *vocab[] = {"a"};
    struct err err = {0};

    (void)state;
    assert_true(plot_confusion(at("none/m.svg"), "Title", counts, vocab, 1, &err) < 0);
    assert_non_null(strstr(err.msg, "none/m.svg"));
    assert_true(plot_confusion(at("none/m.png"), "Title", counts, vocab, 1, &err) < 0);
    assert_non_null(strstr(err.msg, "none/m.png"));
}

static void text_is_cleaned(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xb1", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xb1"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* too long a form of '/' */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* half a pair */
        {"a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd"},               /* cut short */
        {"\x1b[0m", "\xef\xbf\xbd[0m"},
        {"\xf5\x80\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        markup_clean(out, sizeof out, cases[i].in);
        assert_string_equal(out, cases[i].out);
    }
    markup_clean(out, 4, "ab\xc3\xa9"); /* no half characters at the end */
    assert_string_equal(out, "ab");
    assert_int_equal(markup_length("a\xc3\xa9\xe2\x82\xac"), 3);
}

static void base64_meets_rfc_4648(void **state)
{
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(out);
        markup_base64(out, cases[i][0], strlen(cases[i][0]));
        fclose(out);
        assert_string_equal(text, cases[i][1]);
        free(text);
    }
}

static void an_address_has_no_other_characters(void **state)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    markup_address(out, "a-B_9.~ /?&=#%\"<\xc3\xa9");
    fclose(out);
    assert_string_equal(text, "a-B_9.~%20%2F%3F%26%3D%23%25%22%3C%C3%A9");
    free(text);
}

/* Returns what plot_lines_text() writes; released by the caller. */
static char *as_text(const struct plot_series *series, int n, bool calm, struct plot_screen screen)
{
    const struct plot_options o = {
        .title = "Loss", .x_label = "epoch", .y_label = "nat", .calm = calm};
    struct err err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    if (plot_lines_text(file, &o, series, n, &screen, &err) < 0)
        fail_msg("%s", err.msg);
    fclose(file);
    return text;
}

static void draws(const struct plot_series *series, int n, bool calm, struct plot_screen screen,
                  const char *expected)
{
    char *text = as_text(series, n, calm, screen);

    assert_string_equal(text, expected);
    free(text);
}

static const double steps_x[] = {0, 1, 2, 3, 4}, steps_y[] = {2, 1.5, 1, 0.75, 0.5};
static const double epochs_x[] = {2, 4}, epochs_y[] = {1.5, 1};
static const struct plot_series two[] = {{"train", steps_x, steps_y, 5, false},
                                         {"valid", epochs_x, epochs_y, 2, true}};

// clang-format off
static const char ascii_text[] =
    "Loss (nat)  ... train  o valid\n"
    "2 +''....\n"
    "  |      '':...   o\n"
    "1 +            '''........       o\n"
    "  |                       ''''''..\n"
    "0 +\n"
    "  ++--------------+--------------+\n"
    "   0              2              4 epoch\n";
static const char braille_text[] =
    "Loss (nat)  ⠒⠒ train  o valid\n"
    "2 ┤⠉⠒⠒⠤⢄⡀\n"
    "  │     ⠈⠉⠑⠒⠤⢄⣀⡀  o\n"
    "1 ┤            ⠈⠉⠒⠢⠤⠤⢄⣀⣀⣀        o\n"
    "  │                      ⠉⠉⠉⠑⠒⠒⠤⠤⠤\n"
    "0 ┤\n"
    "  └┬──────────────┬──────────────┬\n"
    "   0              2              4 epoch\n";
static const char none_text[] =
    "Loss (nat)  o valid\n"
    "1 +\n"
    "  |\n"
    "0 +\n"
    "  ++--------------+--------------+\n"
    "   0             0.5             1 epoch\n";
static const char one_text[] =
    "Loss (nat)  o valid\n"
    "  2 +\n"
    "    |              o\n"
    "0.5 +\n"
    "    ++-------------+-------------+\n"
    "     1             2             3 epoch\n";
static const char odd_text[] =
    "Loss (nat)  o valid\n"
    "3 points are not finite\n"
    "1.5 +\n"
    "    |              o\n"
    "0.5 +\n"
    "    +-----+-----------------+-----\n"
    "          2                 4      epoch\n";
static const char lost_text[] =
    "Loss (nat)  ... train\n"
    "2 points are not finite\n"
    "1 +\n"
    "  |\n"
    "0 +\n"
    "  ++--------------+--------------+\n"
    "   0             0.5             1 epoch\n";
// clang-format on

static void text_is_exact(void **state)
{
    const struct plot_screen small = {40, 5, false}, dots = {40, 5, true};
    double moved[] = {2, 1.5, 1, 0.75, 1.5};
    struct plot_series other = {"train", steps_x, moved, 5, false};
    char *text;

    (void)state;
    draws(two, 2, false, small, ascii_text);
    draws(two, 2, false, dots, braille_text);
    text = as_text(&other, 1, false, small);
    assert_null(strstr(ascii_text, text)); /* the control: another curve, another text */
    free(text);
}

/* Nothing to draw, one epoch, numbers that are none, a loss that jumps out of the frame. */
static void odd_series_are_text(void **state)
{
    const struct plot_screen screen = {40, 3, false};
    const double x[] = {1, 2, 3, NAN}, y[] = {NAN, INFINITY, 1, 1};
    const struct plot_series none = {"valid", x, y, 0, true},
                             one = {"valid", epochs_x, epochs_y, 1, true};
    const struct plot_series odd = {"valid", x, y, 4, true}, lost = {"train", x, y, 2, false};
    double far_x[100], far_y[100];
    const struct plot_series far_off = {"train", far_x, far_y, 100, false};
    char *text;

    (void)state;
    draws(&none, 1, true, screen, none_text);
    draws(&one, 1, true, screen, one_text);
    draws(&odd, 1, true, screen, odd_text);
    draws(&lost, 1, true, screen, lost_text);
    for (int i = 0; i < 100; i++) {
        far_x[i] = i;
        far_y[i] = i == 50 ? 1e300 : 1;
    }
    text = as_text(&far_off, 1, true, screen);
    assert_non_null(strstr(text, "highest: 1e+300\n"));
    free(text);
}

/* No line is wider than the screen, whatever the ticks. */
static void text_fits_the_screen(void **state)
{
    const double x[] = {0, 1e5, 2e5}, y[] = {-1.23456e-5, 1.1e-5, 1.2e-5};
    const struct plot_series wide = {"valid", x, y, 3, false};

    (void)state;
    for (int columns = 40; columns < 100; columns++) {
        char *text = as_text(&wide, 1, false, (struct plot_screen){columns, 9, false}), *rest,
             *line;

        for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            assert_in_range(strlen(line), 1, columns);
        free(text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(curves_are_repeatable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_series_are_drawn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_high_loss_flattens_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_curve_hides_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_have_their_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(confusion_is_a_png_in_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(confusion_says_what_it_shows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_classes_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_name_the_file, set_up, tear_down),
        cmocka_unit_test(text_is_exact),
        cmocka_unit_test(odd_series_are_text),
        cmocka_unit_test(text_fits_the_screen),
        cmocka_unit_test(text_is_cleaned),
        cmocka_unit_test(base64_meets_rfc_4648),
        cmocka_unit_test(an_address_has_no_other_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
