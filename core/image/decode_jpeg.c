/* decode_jpeg.c - JPEG through the libjpeg API, with the settings Pillow uses: integer slow IDCT,
 * fancy upsampling, block smoothing (the library's defaults).
 *
 * A file that ends before its end marker is an error, as in Pillow; other complaints of the library
 * are warnings (bytes after the end marker are none). The library reports fatal errors by longjmp:
 * nothing but what it allocates itself is owned between setjmp and the end.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "image/codec.h"

/* A progressive file may ask for any number of passes over the picture; real ones have about 10. */
enum { SCANS_MAX = 1000, ROWS_AT_ONCE = 16 };

struct jpeg_job {
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct cinfo;
    jmp_buf jump;
    struct image *img; /* grows with the picture; NULL: the caller's pixels, of a fixed size */
    uint8_t *pixels;
    uint32_t height, width; /* of pixels, where img is NULL */
    bool premature, too_many_scans;
    char message[JMSG_LENGTH_MAX];
};

static struct jpeg_job *job_of(j_common_ptr cinfo)
{
    return cinfo->client_data;
}

static void on_fatal(j_common_ptr cinfo)
{
    struct jpeg_job *job = job_of(cinfo);

    cinfo->err->format_message(cinfo, job->message);
    longjmp(job->jump, 1);
}

static void on_message(j_common_ptr cinfo, int level)
{
    struct jpeg_job *job = job_of(cinfo);
    char text[JMSG_LENGTH_MAX];

    if (level >= 0)
        return; /* tracing */
    if (cinfo->err->msg_code == JWRN_JPEG_EOF) {
        job->premature = true;
        longjmp(job->jump, 1);
    }
    if (!job->img)
        on_fatal(cinfo);
    cinfo->err->format_message(cinfo, text);
    image_warn(job->img, "JPEG: %s", text);
}

static void on_progress(j_common_ptr cinfo)
{
    struct jpeg_job *job = job_of(cinfo);

    if (job->cinfo.input_scan_number > SCANS_MAX) {
        job->too_many_scans = true;
        longjmp(job->jump, 1);
    }
}

/* Pillow reads CMYK as Adobe writes it, inverted, and converts by (255 - k) - c (255 - k) / 255
 * with its rounded division. OUT and IN do not overlap. */
static void cmyk_row(uint8_t *out, const uint8_t *in, size_t width)
{
    for (size_t x = 0; x < width; x++, in += 4, out += 3) {
        const unsigned nk = in[3]; /* 255 - k */

        for (size_t c = 0; c < 3; c++) {
            const unsigned t = (255u - in[c]) * nk + 128;
            const int v = (int)nk - (int)(((t >> 8) + t) >> 8);

            out[c] = (uint8_t)(v < 0 ? 0 : v);
        }
    }
}

static void read_rows(struct jpeg_job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    const size_t width = cinfo->output_width, pitch = width * 3;
    uint8_t *pixels = job->pixels;

    if (cinfo->out_color_space == JCS_CMYK) {
        JSAMPARRAY row =
            cinfo->mem->alloc_sarray((j_common_ptr)cinfo, JPOOL_IMAGE, cinfo->output_width * 4, 1);
        while (cinfo->output_scanline < cinfo->output_height) {
            uint8_t *out = pixels + cinfo->output_scanline * pitch;

            if (jpeg_read_scanlines(cinfo, row, 1) == 1)
                cmyk_row(out, row[0], width);
        }
        return;
    }
    while (cinfo->output_scanline < cinfo->output_height) {
        const size_t y = cinfo->output_scanline, left = cinfo->output_height - y;
        const size_t n = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        JSAMPROW rows[ROWS_AT_ONCE];

        for (size_t i = 0; i < n; i++)
            rows[i] = pixels + (y + i) * pitch;
        jpeg_read_scanlines(cinfo, rows, (JDIMENSION)n);
    }
}

/* Room for the picture whose header was read. */
static int take_room(struct jpeg_job *job, struct err *err)
{
    const uint32_t height = job->cinfo.image_height, width = job->cinfo.image_width;

    if (job->img) {
        if (image_reserve(job->img, height, width, err) < 0)
            return -1;
        job->pixels = job->img->pixels;
    } else if (height != job->height || width != job->width) {
        return err_set(err, ERR_FORMAT, "a JPEG of %u x %u pixels in place of %u x %u", width,
                       height, job->width, job->height);
    }
    return 0;
}

static int decode_inside(struct jpeg_job *job, const uint8_t *bytes, size_t size, struct err *err)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;

    jpeg_mem_src(cinfo, bytes, size);
    jpeg_read_header(cinfo, TRUE);
    if (cinfo->num_components == 1 || cinfo->num_components == 3)
        cinfo->out_color_space = JCS_RGB;
    else if (cinfo->num_components == 4)
        cinfo->out_color_space = JCS_CMYK;
    else
        return err_set(err, ERR_FORMAT, "%d colour components; 1, 3 or 4 are understood",
                       cinfo->num_components);
    if (take_room(job, err) < 0)
        return -1;
    jpeg_start_decompress(cinfo);
    read_rows(job);
    jpeg_finish_decompress(cinfo);
    return 0;
}

/* JOB lives in the caller, so that what changes between setjmp and longjmp is defined afterwards.
 */
static int run_job(struct jpeg_job *job, const uint8_t *bytes, size_t size, struct err *err)
{
    int rc;

    if (setjmp(job->jump)) {
        jpeg_destroy_decompress(&job->cinfo);
        if (job->premature)
            return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
        if (job->too_many_scans)
            return err_set(err, ERR_FORMAT, "more than %d scans", SCANS_MAX);
        return err_set(err, job->manager.msg_code == JERR_OUT_OF_MEMORY ? ERR_NOMEM : ERR_FORMAT,
                       "%s", job->message);
    }
    jpeg_create_decompress(&job->cinfo);
    job->cinfo.progress = &job->progress;
    rc = decode_inside(job, bytes, size, err);
    jpeg_destroy_decompress(&job->cinfo);
    return rc;
}

/* JOB says where the pixels go; its other fields are zero. */
static int start_job(struct jpeg_job *job, const uint8_t *bytes, size_t size, struct err *err)
{
    job->cinfo.err = jpeg_std_error(&job->manager);
    job->cinfo.client_data = job;
    job->manager.error_exit = on_fatal;
    job->manager.emit_message = on_message;
    job->progress.progress_monitor = on_progress;
    return run_job(job, bytes, size, err);
}

static int jpeg_decode(struct image *img, const uint8_t *bytes, size_t size, struct err *err)
{
    struct jpeg_job job;

    memset(&job, 0, sizeof job);
    job.img = img;
    return start_job(&job, bytes, size, err);
}

int image_decode_jpeg(uint8_t *pixels, uint32_t height, uint32_t width, const uint8_t *bytes,
                      size_t size, struct err *err)
{
    struct jpeg_job job;

    memset(&job, 0, sizeof job);
    job.pixels = pixels;
    job.height = height;
    job.width = width;
    return start_job(&job, bytes, size, err);
}

static bool jpeg_matches(const uint8_t *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

#define QUOTE2(x) #x
#define QUOTE(x) QUOTE2(x)

const char *image_jpeg_version(void)
{
#ifdef LIBJPEG_TURBO_VERSION
    return "libjpeg-turbo " QUOTE(LIBJPEG_TURBO_VERSION);
#else
    return "libjpeg " QUOTE(JPEG_LIB_VERSION);
#endif
}

static void jpeg_version(char *out, size_t size)
{
    snprintf(out, size, "%s", image_jpeg_version());
}

const struct codec codec_jpeg = {.format = IMAGE_JPEG,
                                 .name = "JPEG",
                                 .media_type = "image/jpeg",
                                 .matches = jpeg_matches,
                                 .decode = jpeg_decode,
                                 .version = jpeg_version};
