// GroupNorm, and GroupNorm followed by Swish, on one thread:
//
//     x_hat = (x - mean) * inverse_std        mean and variance over a group of channels of one image
//     z = x_hat * weight + bias               y = z, or y = z * sigmoid(z) with Swish
//
// The images lie channels last, (N, pixels, C). A row is the shortest run of whole pixels that is a whole number of vectors, so that a place
// in the row always means the same channel, whatever C is. What belongs to a channel (its mean, its slope, ...) is written out once for each
// place of a row; the loops over the rows are then plain vector arithmetic.
//
//     caches    one image at a time: what the first pass brings into L2 the later passes find there
//     forward   three passes over an image: sum, squares, result. 8 bytes from and to memory per number, about 30 operations with Swish
//     backward  two passes: du and its sums, then dx. 12 bytes per number, about 45 operations
//     rounding  a sum is taken in blocks of 64 rows, so that no chain of additions is longer than some tens
#pragma once

#include "cpu/arguments.h"
#include "cpu/lanes.h"

namespace VARIANT {

using native::GroupNorm;

inline int64_t numbers(const GroupNorm& g) { return g.pixels * g.channels; }        // of an image
inline int64_t in_group(const GroupNorm& g) { return numbers(g) / g.groups; }
inline int64_t group_of(const GroupNorm& g, int64_t place) { return place % g.channels / (g.channels / g.groups); }

struct Rows {
    int64_t length, count, rest;  // numbers in a row; whole rows in an image; numbers after them
    explicit Rows(const GroupNorm& g) : length(g.channels) {
        while (length % LANES) length += g.channels;
        count = numbers(g) / length;
        rest = numbers(g) % length;
    }
};

// use(place, at, count) for every vector of an image: its place in the row, its place in the image, how many of its lanes are there.
template <class Use>
inline void for_each_vector(const Rows& rows, Use use) {
    for (int64_t row = 0; row < rows.count; row++)
        for (int64_t place = 0; place < rows.length; place += LANES) use(place, row * rows.length + place, int64_t(LANES));
    for (int64_t place = 0; place < rows.rest; place += LANES)
        use(place, rows.count * rows.length + place, rows.rest - place < LANES ? rows.rest - place : int64_t(LANES));
}

// sums[s][place] = the sum over the rows of term(...)[s], for SUMS sums at a time. Four rows at a time are added up side by side, so that
// no addition waits for the one before it.
template <int SUMS, class Term>
inline void sum_over_rows(const Rows& rows, float* const (&sums)[SUMS], Term term) {
    for (int64_t place = 0; place < rows.length; place += LANES) {
        Lanes total[SUMS] = {};
        for (int64_t first = 0; first < rows.count; first += 64) {
            Lanes part[4][SUMS] = {};
            const int64_t end = first + 64 < rows.count ? first + 64 : rows.count;
            int64_t row = first;
            for (; row + 4 <= end; row += 4)
                for (int r = 0; r < 4; r++) term(place, (row + r) * rows.length + place, int64_t(LANES), part[r]);
            for (; row < end; row++) term(place, row * rows.length + place, int64_t(LANES), part[0]);
            for (int s = 0; s < SUMS; s++) total[s] += (part[0][s] + part[1][s]) + (part[2][s] + part[3][s]);
        }
        const int64_t left = rows.rest - place;
        if (left > 0) term(place, rows.count * rows.length + place, left < LANES ? left : int64_t(LANES), total);
        for (int s = 0; s < SUMS; s++) store(sums[s] + place, total[s]);
    }
}

inline Lanes load_some(const float* from, int64_t count) { return count == LANES ? load(from) : load(from, count); }
inline void store_some(float* to, Lanes lanes, int64_t count) { count == LANES ? store(to, lanes) : store(to, lanes, count); }

// x, y: (N, pixels, C);  mean, inverse_std: (N, groups), for the backward pass
inline void group_norm_forward(const GroupNorm& g, const float* x, float* y, float* mean, float* inverse_std) {
    const Rows rows(g);
    const int64_t L = rows.length;
    const Scratch scratch(4 * L);  // a number for each place of a row
    float *sum = scratch.data, *mean_at = sum + L, *slope = sum + 2 * L, *bias = sum + 3 * L;
    const auto group_mean = [&](int64_t k) {  // of what was summed up for the places
        double total = 0;
        for (int64_t place = 0; place < L; place++) total += group_of(g, place) == k ? sum[place] : 0;
        return total / double(in_group(g));
    };
    for (int64_t place = 0; place < L; place++) bias[place] = g.bias ? g.bias[place % g.channels] : 0;

    for (int64_t n = 0; n < g.images; n++, x += numbers(g), y += numbers(g), mean += g.groups, inverse_std += g.groups) {
        sum_over_rows<1>(rows, {sum}, [&](int64_t, int64_t at, int64_t count, Lanes* part) { part[0] += load_some(x + at, count); });
        for (int64_t k = 0; k < g.groups; k++) mean[k] = float(group_mean(k));
        for (int64_t place = 0; place < L; place++) mean_at[place] = mean[group_of(g, place)];

        sum_over_rows<1>(rows, {sum}, [&](int64_t place, int64_t at, int64_t count, Lanes* part) {
            Lanes centred = load_some(x + at, count) - load(mean_at + place);
            if (count < LANES)
                for (int64_t lane = count; lane < LANES; lane++) centred[lane] = 0;  // nothing is there
            part[0] += centred * centred;
        });
        for (int64_t k = 0; k < g.groups; k++) inverse_std[k] = float(1 / __builtin_sqrt(group_mean(k) + double(g.eps)));
        for (int64_t place = 0; place < L; place++)
            slope[place] = inverse_std[group_of(g, place)] * (g.weight ? g.weight[place % g.channels] : 1);

        const auto finish = [&](auto with_swish) {
            for_each_vector(rows, [&](int64_t place, int64_t at, int64_t count) {
                const Lanes z = (load_some(x + at, count) - load(mean_at + place)) * load(slope + place) + load(bias + place);
                store_some(y + at, with_swish ? z * sigmoid(z) : z, count);
            });
        };
        g.swish ? finish(std::true_type{}) : finish(std::false_type{});
    }
}

// dy, dx: (N, pixels, C);  dweight, dbias: (C,)
//
//     du = dy, or dy * s * (1 + z * (1 - s)) with s = sigmoid(z)      dbias = sum du,  dweight = sum du x_hat
//     dx = inverse_std * (du * weight - mean(du * weight) - x_hat * mean(du * weight * x_hat))
inline void group_norm_backward(const GroupNorm& g, const float* x, const float* dy, const float* mean, const float* inverse_std, float* dx,
                                float* dweight, float* dbias) {
    const Rows rows(g);
    const int64_t L = rows.length;
    const Scratch scratch(8 * L);
    float *mean_at = scratch.data, *inverse_at = mean_at + L, *weight = mean_at + 2 * L, *bias = mean_at + 3 * L;
    float *sum_du = mean_at + 4 * L, *sum_du_x_hat = mean_at + 5 * L, *mean_1 = mean_at + 6 * L, *mean_2 = mean_at + 7 * L;
    for (int64_t place = 0; place < L; place++) {
        weight[place] = g.weight ? g.weight[place % g.channels] : 1;
        bias[place] = g.bias ? g.bias[place % g.channels] : 0;
    }
    for (int64_t c = 0; c < g.channels; c++) dweight[c] = dbias[c] = 0;

    for (int64_t n = 0; n < g.images; n++, x += numbers(g), dy += numbers(g), dx += numbers(g), mean += g.groups, inverse_std += g.groups) {
        for (int64_t place = 0; place < L; place++) {
            mean_at[place] = mean[group_of(g, place)];
            inverse_at[place] = inverse_std[group_of(g, place)];
        }
        const auto x_hat_at = [&](int64_t place, int64_t at, int64_t count) {
            return (load_some(x + at, count) - load(mean_at + place)) * load(inverse_at + place);
        };
        const auto first_pass = [&](auto with_swish) {
            sum_over_rows<2>(rows, {sum_du, sum_du_x_hat}, [&](int64_t place, int64_t at, int64_t count, Lanes* part) {
                const Lanes x_hat = x_hat_at(place, at, count);
                Lanes du = load_some(dy + at, count);  // 0 in lanes that are not there
                if (with_swish) {
                    const Lanes z = x_hat * load(weight + place) + load(bias + place), s = sigmoid(z);
                    du *= s * (1 + z * (1 - s));
                }
                store_some(dx + at, du, count);
                part[0] += du;
                part[1] += du * x_hat;
            });
        };
        g.swish ? first_pass(std::true_type{}) : first_pass(std::false_type{});

        for (int64_t place = 0; place < L; place++) dbias[place % g.channels] += sum_du[place];
        for (int64_t place = 0; place < L; place++) dweight[place % g.channels] += sum_du_x_hat[place];
        for (int64_t k = 0; k < g.groups; k++) {
            double total_1 = 0, total_2 = 0;
            for (int64_t place = 0; place < L; place++)
                if (group_of(g, place) == k) {
                    total_1 += double(sum_du[place]) * weight[place];
                    total_2 += double(sum_du_x_hat[place]) * weight[place];
                }
            for (int64_t place = 0; place < L; place++)
                if (group_of(g, place) == k) {
                    mean_1[place] = float(total_1 / double(in_group(g)));
                    mean_2[place] = float(total_2 / double(in_group(g)));
                }
        }
        for_each_vector(rows, [&](int64_t place, int64_t at, int64_t count) {
            const Lanes du = load_some(dx + at, count), x_hat = x_hat_at(place, at, count);
            const Lanes centred = du * load(weight + place) - load(mean_1 + place) - x_hat * load(mean_2 + place);
            store_some(dx + at, centred * load(inverse_at + place), count);
        });
    }
}

}  // namespace VARIANT
