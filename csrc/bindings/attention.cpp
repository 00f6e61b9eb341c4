// attention_forward and attention_backward for Python: shapes are checked here, once for every version.
#include "common/array.h"
#include "attention/attention.h"
#include "ladder/rung.h"

namespace {

void require(bool condition, const char* relation) {
    if (!condition) throw std::invalid_argument(std::string("attention kernel: ") + relation);
}

using Floats = Array<float>;

bool is(const Floats& array, std::vector<long long> shape) { return array.shape == shape; }

Attention describe(const Floats& query, const Floats& key, const Floats& value, const std::optional<Floats>& mask, bool causal, float scale,
                   const Floats& output, const Floats& lse) {
    for (const Floats* array : {&query, &key, &value}) require(array->shape.size() == 4, "arrays must be (images, heads, tokens, size)");
    const long long B = query.shape[0], H = query.shape[1], Tq = query.shape[2], D = query.shape[3];
    const long long Tk = key.shape[2], Dv = value.shape[3];
    require(is(key, {B, H, Tk, D}), "key must be (images, heads, any, size) like query");
    require(is(value, {B, H, Tk, Dv}), "value must be (images, heads, tokens of key, any)");
    require(is(output, {B, H, Tq, Dv}), "output must be (images, heads, tokens of query, size of value)");
    require(is(lse, {B, H, Tq}), "lse must be (images, heads, tokens of query)");
    require(B * H * Tq > 0 && Tk * D * Dv > 0, "no size may be 0");
    require(D <= MAX_SIZE && Dv <= MAX_SIZE, "a head may have 128 numbers at most");
    require(B * H * (Tq > Tk ? Tq : Tk) < (1LL << 31), "images * heads * tokens must be below 2^31");

    Attention a = {int(H),     int(B * H),  int(Tq),   int(Tk),    int(D),      int(Dv),  scale,   causal, query.data,
                   key.data,   value.data,  output.data, lse.data, nullptr,     0,        0,       0,      0};
    if (mask) {
        const std::vector<long long>& m = mask->shape;
        const long long wanted[4] = {B, H, Tq, Tk};
        require(m.size() == 4, "mask must be (images, heads, tokens of query, tokens of key)");
        for (int n = 0; n < 4; n++) require(m[n] == 1 || m[n] == wanted[n], "a size of mask must be 1 or fit the logits");
        a.mask = mask->data;
        a.mask_key = m[3] == 1 ? 0 : 1;
        a.mask_query = m[2] == 1 ? 0 : m[3];
        a.mask_head = m[1] == 1 ? 0 : m[2] * m[3];
        a.mask_batch = m[0] == 1 ? 0 : m[1] * m[2] * m[3];
    }
    return a;
}

Tile tile_named(const std::string& name) {
    if (name == "small") return Tile::SMALL;
    if (name == "narrow") return Tile::NARROW;
    if (name == "medium") return Tile::MEDIUM;
    if (name == "large") return Tile::LARGE;
    require(name == "auto", "tile must be auto, small, narrow, medium or large");
    return Tile::AUTO;
}

void forward(const std::string& version, Floats query, Floats key, Floats value, std::optional<Floats> mask, bool causal, float scale,
             Floats output, Floats lse, const std::string& tile, Stream stream) {
    const Attention a = describe(query, key, value, mask, causal, scale, output, lse);
    if (auto* rung = AttentionRung::find(version)) return rung(a, stream);
    if (version == "naive") return attention_forward_naive(a, stream);
    if (version == "tiled") return attention_forward_tiled(a, stream);
    if (version == "tf32x3") return attention_forward_tf32x3(a, tile_named(tile), stream);
    require(version == "fast", "version must be naive, tiled, fast or tf32x3");
    attention_forward_fast(a, tile_named(tile), stream);
}

void backward(const std::string& version, Floats query, Floats key, Floats value, std::optional<Floats> mask, bool causal, float scale,
              Floats output, Floats lse, Floats d_output, Floats delta, Floats d_query, Floats d_key, Floats d_value,
              const std::string& tile, Stream stream) {
    const Attention a = describe(query, key, value, mask, causal, scale, output, lse);
    require(d_output.shape == output.shape && delta.shape == lse.shape, "d_output and delta must be like output and lse");
    require(d_query.shape.size() == 5 && std::equal(query.shape.begin(), query.shape.end(), d_query.shape.begin() + 1),
            "d_query must be (parts, ...) with the shape of query");
    require(d_key.shape == key.shape && d_value.shape == value.shape, "d_key and d_value must be like key and value");
    const int parts = int(d_query.shape[0]);
    const AttentionGradient g = {d_output.data, delta.data, d_query.data, d_key.data, d_value.data, parts};
    require(parts >= 1 && (parts == 1 || version == "fast" || version == "tf32x3"), "only fast and tf32x3 write d_query in parts");
    if (version == "naive") return attention_backward_naive(a, g, stream);
    if (version == "tiled") return attention_backward_tiled(a, g, stream);
    if (version == "tf32x3") return attention_backward_tf32x3(a, g, stream);
    require(version == "fast", "version must be naive, tiled, fast or tf32x3");
    attention_backward_fast(a, g, tile_named(tile), stream);
}

Bindings bind([](py::module_& module) {
    define(module, "attention_forward", forward);
    define(module, "attention_backward", backward);
    module.def("attention_fast_parts", [](int batch_heads, int keys, int) { return attention_fast_parts(batch_heads, keys); });
    module.def("attention_tf32x3_parts", attention_tf32x3_parts);
    module.def("attention_fast_fits", attention_fast_fits);
    module.def("attention_tf32x3_fits", attention_tf32x3_fits);
    module.def("attention_forward_cycles", [](const std::string& tile, int batch_heads, int tokens, int size) {
        Attention a = {};
        a.batch_heads = batch_heads, a.queries = a.keys = tokens, a.size = a.value_size = size;
        return attention_forward_cycles(a, tile_named(tile));
    });
});

}  // namespace
