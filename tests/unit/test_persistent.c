/* test_persistent.c - the store of tensors that outlive a list. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "backend/persistent.h"

struct be {
    int room, dropped;
};

static struct be device;

static int place(struct be *b, struct persistent *t, struct err *err)
{
    if (b->room == 0)
        return err_set(err, ERR_NOMEM, "%s", t->name);
    t->at = (size_t)b->room--;
    return 0;
}

static void drop(struct persistent *t)
{
    (void)t;
    device.dropped++;
}

static struct tensor tensor(const char *name, enum tensor_role role, int n)
{
    struct tensor t = {.role = role, .dims = {n, 2, 1, 1}};

    snprintf(t.name, sizeof t.name, "%s", name);
    return t;
}

static void one_tensor_for_a_name(void **state)
{
    struct persistents s = {.be = &device, .place = place};
    const struct tensor w = tensor("w", TENSOR_PARAM, 3), m = tensor("m", TENSOR_STATE, 3),
                        other = tensor("w", TENSOR_PARAM, 4);
    struct persistent *a, *b, *c;
    struct err err = {0};

    (void)state;
    device = (struct be){.room = 2};
    assert_int_equal(persistents_get(&a, &s, &w, &err), 0);
    assert_int_equal(persistents_get(&b, &s, &m, &err), 0);
    assert_int_equal(persistents_get(&c, &s, &w, &err), 0);
    assert_ptr_equal(a, c);
    assert_ptr_not_equal(a, b);
    assert_int_equal(a->n, 6);
    assert_int_equal(a->version, 1);
    assert_true(persistents_get(&c, &s, &other, &err) < 0);
    assert_string_equal(err.msg, "w has another shape than before");
    assert_ptr_equal(persistents_find(&s, "m", &err), b);
    assert_null(persistents_find(&s, "x", &err));
    assert_int_equal(err.kind, ERR_INPUT);
    assert_string_equal(err.msg, "x: no prepared list has such a tensor");
    persistents_free(&s, drop);
    assert_int_equal(device.dropped, 2);
    assert_null(s.first);
}

static void without_room_nothing_is_stored(void **state)
{
    struct persistents s = {.be = &device, .place = place};
    const struct tensor w = tensor("w", TENSOR_PARAM, 3);
    struct persistent *a;
    struct err err = {0};

    (void)state;
    device = (struct be){0};
    assert_true(persistents_get(&a, &s, &w, &err) < 0);
    assert_int_equal(err.kind, ERR_NOMEM);
    assert_null(s.first);
    device.room = 1; /* the control */
    assert_int_equal(persistents_get(&a, &s, &w, &err), 0);
    persistents_free(&s, NULL);
}

static void inputs_of_an_op(void **state)
{
    struct persistents s = {.be = &device, .place = place};
    struct op_list *l = op_list_new(2, 1);
    const int x = op_list_tensor(l, "x", TENSOR_ACT, DTYPE_F32, 2, 16, 1, 1);
    const int w = op_list_tensor(l, "w", TENSOR_PARAM, DTYPE_F32, 8, 16, 1, 1);
    const struct op linear = {.kind = OP_LINEAR, .in = {x, w}};
    struct persistent *param[OP_MAX_IN];
    struct err err = {0};

    (void)state;
    device = (struct be){.room = 1};
    assert_int_equal(persistents_of_op(param, &s, l, &linear, &err), 0);
    assert_ptr_equal(param[1], s.first);
    for (int i = 0; i < OP_MAX_IN; i++)
        assert_true(i == 1 || !param[i]);
    persistents_free(&s, NULL);
    op_list_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_tensor_for_a_name),
        cmocka_unit_test(without_room_nothing_is_stored),
        cmocka_unit_test(inputs_of_an_op),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
