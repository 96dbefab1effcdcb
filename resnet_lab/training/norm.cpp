// Batch normalization as in training, the addition of a shortcut, and ReLU, in two passes over the activations
// forward and two backward (Ioffe and Szegedy 2015, Alg. 1 and Sec. 3). One after the other, as torch computes them
// on a CPU, they take five and seven, and on small nets that costs as much as the convolutions.
//
// Activations are (rows, channels), channels contiguous and a multiple of WIDTH: NHWC with rows = N·H·W.
//
// Work is shared out in shrinking portions (`guided`): where another program takes time from one core, the other takes
// over, and no result depends on who computed it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t WIDTH = 16;  // channels computed together
constexpr int64_t BLOCK = 128;  // rows summed in float32, before float64 takes over
constexpr int64_t PARTS = 32;  // of a sum over all rows; fixed, so that any number of threads finds the same one

typedef float Floats __attribute__((vector_size(4 * WIDTH)));
typedef uint32_t Words __attribute__((vector_size(4 * WIDTH)));
typedef uint16_t Halves __attribute__((vector_size(2 * WIDTH)));

struct BFloat16 {
    uint16_t bits;
};

Floats load(const float *from) {
    Floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
}

Floats load(const BFloat16 *from) {  // the upper half of a float32
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    Words words = __builtin_convertvector(halves, Words) << 16;
    Floats values;
    std::memcpy(&values, &words, sizeof values);
    return values;
}

void store(float *to, Floats values) { std::memcpy(to, &values, sizeof values); }

void store(BFloat16 *to, Floats values) {  // to the nearest, ties to even
    Words words;
    std::memcpy(&words, &values, sizeof words);
    words += 0x7fff + ((words >> 16) & 1);
    Halves halves = __builtin_convertvector(words >> 16, Halves);
    std::memcpy(to, &halves, sizeof halves);
}

Floats relu(Floats values) { return values < 0 ? Floats{} : values; }  // keeps NaN, as torch does

struct Norm {
    int64_t rows, channels;
    const float *weight, *bias;
    float *stats;  // mean, 1 / deviation, scale, offset, one after the other; normalized is x · scale + offset

    float *mean() const { return stats; }
    float *invstd() const { return stats + channels; }
    float *scale() const { return stats + 2 * channels; }
    float *offset() const { return stats + 3 * channels; }
    int64_t blocks() const { return (rows + BLOCK - 1) / BLOCK; }
};

struct Part {  // WIDTH channels of BLOCK rows: places in the activations
    int64_t channel, begin, end;
};

template <typename Visit>
void each_part(const Norm &norm, int64_t block, Visit visit) {
    int64_t last = std::min(norm.rows, (block + 1) * BLOCK);
    for (int64_t c = 0; c < norm.channels; c += WIDTH)
        visit(Part{c, block * BLOCK * norm.channels + c, last * norm.channels});
}

template <typename Visit>
void each_part(const Norm &norm, Visit visit) {
#pragma omp parallel for schedule(guided)
    for (int64_t block = 0; block < norm.blocks(); block++) each_part(norm, block, visit);
}

// Two sums over all rows for each channel, which `add` finds for a part.
template <typename Add>
std::vector<double> sum(const Norm &norm, Add add) {
    int64_t size = 2 * norm.channels;
    std::vector<double> totals(PARTS * size);  // zeros
#pragma omp parallel for schedule(guided)
    for (int64_t i = 0; i < PARTS; i++)
        for (int64_t block = i * norm.blocks() / PARTS; block < (i + 1) * norm.blocks() / PARTS; block++)
            each_part(norm, block, [&](Part part) {
                Floats first = {}, second = {};
                add(part, first, second);
                double *to = &totals[i * size + part.channel];
                for (int64_t c = 0; c < WIDTH; c++) {
                    to[c] += first[c];
                    to[c + norm.channels] += second[c];
                }
            });
    for (int64_t i = 1; i < PARTS; i++)
        for (int64_t c = 0; c < size; c++) totals[c] += totals[i * size + c];
    return totals;
}

template <typename T>
void forward(const T *x, const T *shortcut, T *y, const Norm &norm, float *running_mean, float *running_var,
             double momentum, double eps) {
    int64_t channels = norm.channels;
    std::vector<float> first_row(channels);  // taken off, so that a mean far from zero does not drown the variance
    for (int64_t c = 0; c < channels; c += WIDTH) store(&first_row[c], load(x + c));
    auto sums = sum(norm, [&](Part part, Floats &total, Floats &squares) {
        Floats pivot = load(&first_row[part.channel]);
        for (int64_t at = part.begin; at < part.end; at += channels) {
            Floats value = load(x + at) - pivot;
            total += value;
            squares += value * value;
        }
    });
    double rows = norm.rows;
    for (int64_t c = 0; c < channels; c++) {
        double mean = sums[c] / rows, var = std::max(sums[channels + c] / rows - mean * mean, 0.0);  // keeps NaN
        mean += first_row[c];
        norm.mean()[c] = mean;
        norm.invstd()[c] = 1 / std::sqrt(var + eps);
        norm.scale()[c] = norm.weight[c] * norm.invstd()[c];
        norm.offset()[c] = norm.bias[c] - mean * norm.scale()[c];
        running_mean[c] += momentum * (mean - running_mean[c]);
        running_var[c] += momentum * (var * rows / (rows - 1) - running_var[c]);
    }
    each_part(norm, [=](Part part) {
        Floats scale = load(norm.scale() + part.channel), offset = load(norm.offset() + part.channel);
        if (shortcut)
            for (int64_t at = part.begin; at < part.end; at += channels)
                store(y + at, relu(load(x + at) * scale + offset + load(shortcut + at)));
        else
            for (int64_t at = part.begin; at < part.end; at += channels)
                store(y + at, relu(load(x + at) * scale + offset));
    });
}

// With a shortcut, `g_shortcut` takes the gradient past the ReLU; `y` says where that is zero. Without, both are null.
template <typename T>
void backward(const T *g_y, const T *x, const T *y, T *g_x, T *g_shortcut, const Norm &norm, float *g_weight,
              float *g_bias) {
    int64_t channels = norm.channels;
    auto sums = sum(norm, [&](Part part, Floats &total, Floats &product) {
        Floats mean = load(norm.mean() + part.channel);
        Floats scale = load(norm.scale() + part.channel), offset = load(norm.offset() + part.channel);
        if (g_shortcut)
            for (int64_t at = part.begin; at < part.end; at += channels) {
                Floats gradient = load(y + at) > 0 ? load(g_y + at) : Floats{};
                store(g_shortcut + at, gradient);
                total += gradient;
                product += gradient * (load(x + at) - mean);
            }
        else
            for (int64_t at = part.begin; at < part.end; at += channels) {
                Floats value = load(x + at);
                Floats gradient = value * scale + offset > 0 ? load(g_y + at) : Floats{};
                total += gradient;
                product += gradient * (value - mean);
            }
    });
    std::vector<float> slope(channels), shift(channels);  // g_x = scale · gradient + slope · x + shift
    for (int64_t c = 0; c < channels; c++) {
        g_bias[c] = sums[c];
        g_weight[c] = sums[channels + c] * norm.invstd()[c];
        slope[c] = -norm.scale()[c] * g_weight[c] * norm.invstd()[c] / norm.rows;
        shift[c] = -norm.scale()[c] * g_bias[c] / norm.rows - slope[c] * norm.mean()[c];
    }
    each_part(norm, [&](Part part) {
        Floats scale = load(norm.scale() + part.channel), offset = load(norm.offset() + part.channel);
        Floats a = load(&slope[part.channel]), b = load(&shift[part.channel]);
        if (g_shortcut)
            for (int64_t at = part.begin; at < part.end; at += channels)
                store(g_x + at, load(g_shortcut + at) * scale + load(x + at) * a + b);
        else
            for (int64_t at = part.begin; at < part.end; at += channels) {
                Floats value = load(x + at);
                Floats gradient = value * scale + offset > 0 ? load(g_y + at) : Floats{};
                store(g_x + at, gradient * scale + value * a + b);
            }
    });
}

}  // namespace

extern "C" {

void forward_float32(const float *x, const float *shortcut, float *y, const Norm *norm, float *running_mean,
                     float *running_var, double momentum, double eps) {
    forward(x, shortcut, y, *norm, running_mean, running_var, momentum, eps);
}

void forward_bfloat16(const BFloat16 *x, const BFloat16 *shortcut, BFloat16 *y, const Norm *norm, float *running_mean,
                      float *running_var, double momentum, double eps) {
    forward(x, shortcut, y, *norm, running_mean, running_var, momentum, eps);
}

void backward_float32(const float *g_y, const float *x, const float *y, float *g_x, float *g_shortcut,
                      const Norm *norm, float *g_weight, float *g_bias) {
    backward(g_y, x, y, g_x, g_shortcut, *norm, g_weight, g_bias);
}

void backward_bfloat16(const BFloat16 *g_y, const BFloat16 *x, const BFloat16 *y, BFloat16 *g_x,
                       BFloat16 *g_shortcut, const Norm *norm, float *g_weight, float *g_bias) {
    backward(g_y, x, y, g_x, g_shortcut, *norm, g_weight, g_bias);
}
}
