// A 3×3 convolution (stride 1, padding 1, one group) and its gradients in bfloat16, where the processor has AVX512_BF16:
//
//     y[n, h, w, o] = Σ weight[o, kh, kw, c] · x[n, h + kh - 1, w + kw - 1, c]   over kh, kw and c
//
// x and y are NHWC with channels that are multiples of WIDTH, the weight is OHWI.
//
// vdpbf16ps multiplies pairs of values: each of 16 lanes, one for an output channel, adds two products. What takes time
// besides is loading the other factor, a pair that all lanes share, so each that is loaded serves the three columns of
// the weight, and the sums stay in registers meanwhile. Work is shared out in shrinking portions (`guided`): where
// another program takes time from one core, the other takes over, and no result depends on who computed it.

#ifdef __AVX512BF16__

#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace {

constexpr int64_t WIDTH = 16;  // output channels in a register
constexpr int64_t TILE = 256;  // places of a picture that are computed while their inputs are in the nearest cache
constexpr int64_t PARTS = 16;  // of a sum over all places; fixed, so that any number of threads finds the same one

struct Shape {
    int64_t images, height, width, inputs, outputs;

    int64_t rows() const { return std::clamp<int64_t>(TILE / width, 1, height); }  // of a tile
    int64_t tiles() const { return images * tiles_per_image(); }
    int64_t tiles_per_image() const { return (height + rows() - 1) / rows(); }
    int64_t pairs() const { return (width + 1) / 2; }  // of places in a row
};

struct Tile {  // rows of a picture
    int64_t image, top, rows;

    Tile(const Shape &shape, int64_t index)
        : image(index / shape.tiles_per_image()),
          top(index % shape.tiles_per_image() * shape.rows()),
          rows(std::min(shape.rows(), shape.height - top)) {}

    // The first value of row r of the tile in a tensor of that many channels; null above and below the picture.
    template <typename T>
    T *row(const Shape &shape, T *tensor, int64_t channels, int64_t r) const {
        bool is_inside = 0 <= top + r && top + r < shape.height;
        return is_inside ? tensor + (image * shape.height + top + r) * shape.width * channels : nullptr;
    }
};

class Scratch {  // zeros, aligned to registers
  public:
    explicit Scratch(int64_t size) : lines((size + WIDTH - 1) / WIDTH) {}
    uint32_t *words() { return lines[0].words; }

  private:
    struct alignas(4 * WIDTH) Line {
        uint32_t words[WIDTH];
    };
    std::vector<Line> lines;
};

__m512bh load(const uint32_t *from) { return (__m512bh)_mm512_load_si512(from); }
__m512bh spread(uint32_t pair) { return (__m512bh)_mm512_set1_epi32(pair); }

// y of a tile: PLACES of a row and GROUPS of WIDTH output channels at a time. x has a place more on each side of a row
// and a row more above and below, in pairs of channels; weight is (3, inputs / 2, 3, outputs), likewise.
template <int PLACES, int GROUPS>
void convolve(const Shape &shape, const uint32_t *x, int64_t line, const uint32_t *weight, int64_t rows, uint16_t *y) {
    int64_t inputs = shape.inputs / 2, outputs = shape.outputs;
    for (int64_t o = 0; o < outputs; o += WIDTH * GROUPS)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t w = 0; w < shape.width; w += PLACES) {
                __m512 sums[PLACES][GROUPS] = {};
                for (int64_t kh = 0; kh < 3; kh++)
                    for (int64_t c = 0; c < inputs; c++) {
                        const uint32_t *from = x + ((r + kh) * line + w) * inputs + c;
                        const uint32_t *by = weight + (kh * inputs + c) * 3 * outputs + o;
                        __m512bh factors[3][GROUPS];
                        for (int kw = 0; kw < 3; kw++)
                            for (int g = 0; g < GROUPS; g++) factors[kw][g] = load(by + kw * outputs + g * WIDTH);
#pragma GCC unroll 18
                        for (int i = 0; i < PLACES + 2; i++) {
                            __m512bh value = spread(from[i * inputs]);
#pragma GCC unroll 3
                            for (int kw = 0; kw < 3; kw++)
                                if (int at = i - kw; 0 <= at && at < PLACES)
#pragma GCC unroll 2
                                    for (int g = 0; g < GROUPS; g++)
                                        sums[at][g] = _mm512_dpbf16_ps(sums[at][g], value, factors[kw][g]);
                        }
                    }
                uint16_t *to = y + (r * shape.width + w) * outputs + o;
                for (int at = 0; at < PLACES && w + at < shape.width; at++)
                    for (int g = 0; g < GROUPS; g++)
                        _mm256_storeu_si256((__m256i *)(to + at * outputs + g * WIDTH),
                                            (__m256i)_mm512_cvtneps_pbh(sums[at][g]));
            }
}

// The weight in the order in which `convolve` reads it; for the gradient of x flipped, inputs and outputs exchanged.
void arrange(const Shape &shape, const uint16_t *weight, bool is_gradient, uint32_t *to) {
    for (int64_t kh = 0; kh < 3; kh++)
        for (int64_t c = 0; c < shape.inputs; c += 2)
            for (int64_t kw = 0; kw < 3; kw++)
                for (int64_t o = 0; o < shape.outputs; o++) {
                    const uint16_t *first = weight + ((o * 3 + kh) * 3 + kw) * shape.inputs + c, *second = first + 1;
                    if (is_gradient) {
                        first = weight + ((c * 3 + 2 - kh) * 3 + 2 - kw) * shape.outputs + o;
                        second = first + 9 * shape.outputs;
                    }
                    *to++ = *first | (uint32_t)*second << 16;
                }
}

__m512i place(const uint16_t *row, int64_t at, const Shape &shape, int64_t channels) {
    bool is_inside = row && 0 <= at && at < shape.width;
    return _mm512_castsi256_si512(is_inside ? _mm256_loadu_si256((const __m256i *)(row + at * channels))
                                            : _mm256_setzero_si256());
}

// Places 2j + shift and 2j + shift + 1 of a row for all j, a word for each channel; zero beyond the ends.
void pair_places(const Shape &shape, const uint16_t *row, int64_t channels, int64_t shift, uint32_t *to) {
    const __m512i in_turn = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38,
                                             6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    for (int64_t j = 0; j < shape.pairs(); j++)
        for (int64_t c = 0; c < channels; c += WIDTH, to += WIDTH) {
            const uint16_t *from = row ? row + c : nullptr;
            __m512i left = place(from, 2 * j + shift, shape, channels);
            __m512i right = place(from, 2 * j + shift + 1, shape, channels);
            _mm512_store_si512(to, _mm512_permutex2var_epi16(left, in_turn, right));
        }
}

// Adds to `totals`, (3, 3, inputs, outputs), what `count` pairs of places contribute: of x, which begins a row above,
// and of the gradient of y, which is there three times, shifted for each column of the weight.
void add_products(const Shape &shape, const uint32_t *x, const uint32_t *const g_y[3], int64_t count, float *totals) {
    constexpr int DEPTH = 8;  // input channels at a time
    int64_t inputs = shape.inputs, outputs = shape.outputs;
    for (int64_t kh = 0; kh < 3; kh++)
        for (int64_t c = 0; c < inputs; c += DEPTH)
            for (int64_t o = 0; o < outputs; o += WIDTH) {
                __m512 sums[DEPTH][3] = {};
                const uint32_t *from = x + kh * shape.pairs() * inputs + c;
                for (int64_t at = o; at < o + count * outputs; at += outputs, from += inputs) {
                    __m512bh factors[3];
                    for (int kw = 0; kw < 3; kw++) factors[kw] = load(g_y[kw] + at);
                    for (int i = 0; i < DEPTH; i++)
                        for (int kw = 0; kw < 3; kw++)
                            sums[i][kw] = _mm512_dpbf16_ps(sums[i][kw], spread(from[i]), factors[kw]);
                }
                for (int i = 0; i < DEPTH; i++)
                    for (int kw = 0; kw < 3; kw++) {
                        float *to = totals + ((kh * 3 + kw) * inputs + c + i) * outputs + o;
                        _mm512_storeu_ps(to, _mm512_loadu_ps(to) + sums[i][kw]);
                    }
            }
}

}  // namespace

extern "C" {

// y of x; or, as `is_gradient`, the gradient of x of that of y: `shape` is that of this convolution in both cases, and
// `weight` the one of the convolution forward.
void convolution(const uint16_t *x, const uint16_t *weight, uint16_t *y, const Shape *of, int is_gradient) {
    const Shape shape = *of;
    bool is_wide = shape.outputs % (2 * WIDTH) == 0;
    int64_t places = is_wide ? 8 : 16, inputs = shape.inputs / 2;
    int64_t line = (shape.width + places - 1) / places * places + 2;
    Scratch arranged(9 * inputs * shape.outputs);
    arrange(shape, weight, is_gradient, arranged.words());
#pragma omp parallel
    {
        Scratch padded((shape.rows() + 2) * line * inputs);
#pragma omp for schedule(guided)
        for (int64_t i = 0; i < shape.tiles(); i++) {
            Tile tile(shape, i);
            int64_t size = shape.width * inputs * sizeof(uint32_t);
            for (int64_t r = -1; r <= tile.rows; r++) {
                uint32_t *to = padded.words() + ((r + 1) * line + 1) * inputs;
                const uint16_t *row = tile.row(shape, x, shape.inputs, r);
                if (row)
                    std::memcpy(to, row, size);
                else
                    std::memset(to, 0, size);
            }
            auto compute = is_wide ? convolve<8, 2> : convolve<16, 1>;
            compute(shape, padded.words(), line, arranged.words(), tile.rows, tile.row(shape, y, shape.outputs, 0));
        }
    }
}

// The gradient of the weight in float32.
void convolution_weight(const uint16_t *x, const uint16_t *g_y, float *g_weight, const Shape *of) {
    const Shape shape = *of;
    int64_t row = shape.pairs(), size = 9 * shape.inputs * shape.outputs;
    int64_t parts = std::clamp<int64_t>(shape.tiles(), 1, PARTS);
    std::unique_ptr<float[]> totals(new float[parts * size]);
#pragma omp parallel
    {
        Scratch x_pairs((shape.rows() + 2) * row * shape.inputs), g_pairs(3 * shape.rows() * row * shape.outputs);
        uint32_t *columns[3];
        for (int kw = 0; kw < 3; kw++) columns[kw] = g_pairs.words() + kw * shape.rows() * row * shape.outputs;
#pragma omp for schedule(guided)
        for (int64_t part = 0; part < parts; part++) {
            float *mine = &totals[part * size];
            std::fill_n(mine, size, 0.0f);
            for (int64_t i = part * shape.tiles() / parts; i < (part + 1) * shape.tiles() / parts; i++) {
                Tile tile(shape, i);
                for (int64_t r = -1; r <= tile.rows; r++)
                    pair_places(shape, tile.row(shape, x, shape.inputs, r), shape.inputs, 0,
                                x_pairs.words() + (r + 1) * row * shape.inputs);
                for (int64_t r = 0; r < tile.rows; r++)
                    for (int kw = 0; kw < 3; kw++)
                        pair_places(shape, tile.row(shape, g_y, shape.outputs, r), shape.outputs, 1 - kw,
                                    columns[kw] + r * row * shape.outputs);
                add_products(shape, x_pairs.words(), columns, tile.rows * row, mine);
            }
        }
#pragma omp for
        for (int64_t i = 0; i < size; i += shape.outputs) {
            float *sums = &totals[i];
            for (int64_t part = 1; part < parts; part++)
                for (int64_t o = 0; o < shape.outputs; o++) sums[o] += totals[part * size + i + o];
            for (int64_t o = 0; o < shape.outputs; o++) g_weight[(o * size + i) / shape.outputs] = sums[o];
        }
    }
}
}

#endif
