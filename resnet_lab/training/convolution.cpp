// The gradient of the weights of a 3×3 convolution (stride 1, padding 1, one group) in bfloat16, where the processor
// has AVX512_BF16: g_weight[o, c, kh, kw] = Σ g_y[n, h, w, o] · x[n, h + kh - 1, w + kw - 1, c] over n, h and w.
//
// vdpbf16ps multiplies pairs of values: 16 lanes each add two products. A lane is an output channel here, and a pair
// two places side by side, as the sum goes over places. So pairs are made first, in a piece of a picture that stays in
// the processor's cache: of x once, of g_y for each column of the kernel, shifted by one place. Then each pair of x
// that is loaded serves 16 output channels in three columns.
//
// x and g_y are NHWC with channels that are multiples of WIDTH; g_weight is OHWI.

#ifdef __AVX512BF16__

#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

constexpr int64_t WIDTH = 16;  // output channels computed together
constexpr int64_t DEPTH = 8;  // input channels computed together: their sums take 24 of the 32 registers
constexpr int64_t BLOCK = 128;  // pairs that are added before the sums leave the registers

struct Shape {
    int64_t images, height, width, inputs, outputs;

    int64_t pairs() const { return (width + 1) / 2; }  // of a row
    int64_t size() const { return 9 * inputs * outputs; }
};

struct alignas(4 * WIDTH) Pairs {  // of WIDTH channels; the left value of a pair is in the lower half
    uint32_t words[WIDTH];
};

__m512i load(const uint16_t *row, int64_t at, int64_t width, int64_t channels) {
    bool is_inside = 0 <= at && at < width;
    return _mm512_castsi256_si512(
        is_inside ? _mm256_loadu_si256((const __m256i *)(row + at * channels)) : _mm256_setzero_si256());
}

// Places 2j + shift and 2j + shift + 1 of a row for all j; zero beyond its ends, and all over if it has no width.
void make_pairs(const uint16_t *row, int64_t width, int64_t channels, int64_t shift, int64_t count, uint32_t *to) {
    static const __m512i in_turn = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39,
                                                    7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    for (int64_t j = 0; j < count; j++)
        for (int64_t c = 0; c < channels; c += WIDTH, to += WIDTH) {
            __m512i left = load(row + c, 2 * j + shift, width, channels);
            __m512i right = load(row + c, 2 * j + shift + 1, width, channels);
            _mm512_store_si512(to, _mm512_permutex2var_epi16(left, in_turn, right));
        }
}

// Adds to `totals`, (3, 3, inputs, outputs), what `count` pairs contribute: of g_y in three columns, and of x, which
// begins a row above.
void add_products(const Shape &shape, const uint32_t *x, const uint32_t *const g_y[3], int64_t count, float *totals) {
    int64_t inputs = shape.inputs, outputs = shape.outputs;
    for (int64_t kh = 0; kh < 3; kh++)
        for (int64_t c = 0; c < inputs; c += DEPTH)
            for (int64_t o = 0; o < outputs; o += WIDTH) {
                __m512 sums[DEPTH][3] = {};
                const uint32_t *from = x + kh * shape.pairs() * inputs + c;
                for (int64_t at = o; at < o + count * outputs; at += outputs, from += inputs) {
                    __m512i g[3];
                    for (int kw = 0; kw < 3; kw++) g[kw] = _mm512_load_si512(g_y[kw] + at);
                    for (int i = 0; i < DEPTH; i++)
                        for (int kw = 0; kw < 3; kw++)
                            sums[i][kw] = _mm512_dpbf16_ps(sums[i][kw], (__m512bh)_mm512_set1_epi32(from[i]),
                                                           (__m512bh)g[kw]);
                }
                for (int i = 0; i < DEPTH; i++)
                    for (int kw = 0; kw < 3; kw++) {
                        float *to = totals + ((kh * 3 + kw) * inputs + c + i) * outputs + o;
                        _mm512_storeu_ps(to, _mm512_loadu_ps(to) + sums[i][kw]);
                    }
            }
}

}  // namespace

extern "C" void convolution_weights(const uint16_t *x, const uint16_t *g_y, float *g_weight, const Shape *of) {
    const Shape shape = *of;
    int64_t line = shape.pairs(), size = shape.size(), threads = omp_get_max_threads();
    int64_t rows = std::clamp<int64_t>(BLOCK / line, 1, shape.height);
    int64_t pieces = (shape.height + rows - 1) / rows;  // of a picture
    std::vector<float> totals(threads * size);
#pragma omp parallel
    {
        float *mine = &totals[omp_get_thread_num() * size];
        std::vector<Pairs> x_pairs((rows + 2) * line * shape.inputs / WIDTH);
        std::vector<Pairs> g_pairs(3 * rows * line * shape.outputs / WIDTH);
        uint32_t *x_to = x_pairs[0].words, *g_to[3];
        for (int kw = 0; kw < 3; kw++) g_to[kw] = g_pairs[kw * g_pairs.size() / 3].words;
#pragma omp for schedule(static)
        for (int64_t piece = 0; piece < shape.images * pieces; piece++) {
            int64_t top = piece % pieces * rows, count = std::min(rows, shape.height - top);
            int64_t row = piece / pieces * shape.height + top;
            for (int64_t r = -1; r <= count; r++) {
                bool is_inside = 0 <= top + r && top + r < shape.height;
                make_pairs(x + (row + r) * shape.width * shape.inputs, is_inside ? shape.width : 0, shape.inputs, 0,
                           line, x_to + (r + 1) * line * shape.inputs);
            }
            for (int64_t r = 0; r < count; r++)
                for (int kw = 0; kw < 3; kw++)
                    make_pairs(g_y + (row + r) * shape.width * shape.outputs, shape.width, shape.outputs, 1 - kw, line,
                               g_to[kw] + r * line * shape.outputs);
            add_products(shape, x_to, g_to, count * line, mine);
        }
    }
    for (int64_t i = size; i < threads * size; i++) totals[i % size] += totals[i];
    for (int64_t o = 0, at = 0; o < shape.outputs; o++)
        for (int64_t i = o; i < size; i += shape.outputs) g_weight[at++] = totals[i];
}

#endif
