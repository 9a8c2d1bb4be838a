"""What the server says of itself: the index, the limits, the counts."""

from __future__ import annotations

from collections import Counter

from tests.web.api.answers import ask


def test_the_facts_are_those_of_the_index(client, index):
    facts = client.get("/api/v1/info").get_json()["index"]
    direct = index.info()
    assert (facts["id"], facts["name"]) == (index.id, "demo")
    assert facts["images"] == direct["items"] == len(index)
    assert facts["patches"] == 100 * len(index)
    assert (facts["grid"], facts["dim"], facts["patch_dim"], facts["size"]) == ([10, 10], 8, 8, 140)
    assert (facts["model"], facts["precision"], facts["fit"]) == ("colour", "fp32", "crop")
    assert facts["fingerprint"] == index.fingerprint.digest
    labels = Counter(label for item in index.items(limit=100) for label in item.labels)
    assert facts["labels"] == dict(labels)
    assert (facts["refused"], facts["failed"]) == (1, 0)
    assert facts["sources"] == ["pictures", "described"]
    assert facts["generation"] == index.answer(1, k=1).generation
    assert (facts["bytes"], facts["segments"]) == (direct["bytes"], direct["segments"])


def test_the_limits_are_those_that_are_kept(serve):
    app = serve(upload_bytes=1234, upload_pixels=5678, searches_per_minute=77)
    info = app.test_client().get("/api/v1/info").get_json()
    assert info["limits"] == {
        "upload_bytes": 1234,
        "upload_pixels": 5678,
        "k": 1000,
        "queries": 16,
        "searches_per_minute": 77,
        "explain": 48,
    }
    assert info["features"] == {"url_query": False}
    assert info["machine"]["device"] == "cpu"
    assert info["machine"]["versions"]["dinosearch"] == info["version"]


def test_requests_are_counted_by_route_and_not_by_what_they_name(serve):
    client = serve().test_client()
    for image_id in (1, 2, 4711):
        client.get(f"/api/v1/images/{image_id}")
    ask(client, 1)
    text = client.get("/api/v1/metrics").get_data(as_text=True)
    route = 'method="GET",route="/api/v1/images/<int:image_id>"'
    assert f'dinosearch_requests_total{{{route},status="200"}} 2.0' in text
    assert f'dinosearch_requests_total{{{route},status="404"}} 1.0' in text
    assert "4711" not in text
    assert 'dinosearch_items{index="demo"}' in text
    assert 'dinosearch_heavy_done_total{lane="quick"} 1.0' in text
