/* encode_jpeg.c - JPEG through the libjpeg API, its defaults but for tables and colour.
 *
 * The library reports errors by longjmp: what it was given lies in the job, which outlives the jump.
 * SPDX-License-Identifier: MIT */
#include "image/encode_jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

struct encode_job {
    struct jpeg_error_mgr manager;
    struct jpeg_compress_struct cinfo;
    jmp_buf jump;
    unsigned char *memory;
    unsigned long size;
    char message[JMSG_LENGTH_MAX];
};

static void on_fatal(j_common_ptr cinfo)
{
    struct encode_job *job = cinfo->client_data;

    cinfo->err->format_message(cinfo, job->message);
    longjmp(job->jump, 1);
}

static void on_message(j_common_ptr cinfo, int level)
{
    (void)cinfo;
    (void)level;
}

static void compress(struct encode_job *job, const uint8_t *pixels, int height, int width,
                     int quality, enum jpeg_colour colour)
{
    struct jpeg_compress_struct *c = &job->cinfo;

    jpeg_create_compress(c);
    jpeg_mem_dest(c, &job->memory, &job->size);
    c->image_height = (JDIMENSION)height;
    c->image_width = (JDIMENSION)width;
    c->input_components = 3;
    c->in_color_space = JCS_RGB;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, quality, TRUE);
    c->optimize_coding = TRUE;
    if (colour == JPEG_444)
        c->comp_info[0].h_samp_factor = c->comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(c, TRUE);
    while (c->next_scanline < c->image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)c->next_scanline * (size_t)width * 3);

        jpeg_write_scanlines(c, &row, 1);
    }
    jpeg_finish_compress(c);
}

int encode_jpeg(uint8_t **out, size_t *size, const uint8_t *pixels, int height, int width,
                int quality, enum jpeg_colour colour, struct err *err)
{
    struct encode_job *job;

    *out = NULL;
    if (height < 1 || width < 1 || height > JPEG_MAX_DIMENSION || width > JPEG_MAX_DIMENSION)
        return err_set(err, ERR_INPUT, "a JPEG of %d x %d pixels cannot be", width, height);
    job = calloc(1, sizeof *job);
    if (!job)
        return err_set(err, ERR_NOMEM, "JPEG");
    job->cinfo.err = jpeg_std_error(&job->manager);
    job->cinfo.client_data = job;
    job->manager.error_exit = on_fatal;
    job->manager.emit_message = on_message;
    if (setjmp(job->jump) == 0) {
        compress(job, pixels, height, width, quality, colour);
        *out = job->memory;
        *size = job->size;
    } else {
        /* job->memory may already be freed: libjpeg grows it, and names the new one only at the end */
        err_set(err, ERR_NOMEM, "JPEG: %s", job->message);
    }
    jpeg_destroy_compress(&job->cinfo);
    free(job);
    return *out ? 0 : -1;
}
