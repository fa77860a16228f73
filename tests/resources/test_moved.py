import pytest

from vlmine_dagster.resources.sources.moved import current_uri


@pytest.mark.parametrize("inside", ["", "#7.jpg", "#12"])
def test_an_image_of_a_data_set_that_was_moved_is_found_below_its_new_root(tmp_path, inside):
    file = tmp_path / "new" / "a [1]" / "b.tar"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    old = f"{tmp_path}/old/a [1]/b.tar{inside}"
    assert current_uri(old, str(tmp_path / "new")) == f"{file}{inside}"
    assert current_uri(f"{file}{inside}", str(tmp_path / "elsewhere")) == f"{file}{inside}"


def test_a_name_with_a_hash_is_no_member(tmp_path):
    file = tmp_path / "new" / "a#1.jpg"
    file.parent.mkdir()
    file.write_bytes(b"x")
    assert current_uri(f"{tmp_path}/new/a#1.jpg", str(tmp_path / "new")) == str(file)


def test_urls_and_what_is_gone_stay(tmp_path):
    assert current_uri("s3://bucket/a.jpg", str(tmp_path)) == "s3://bucket/a.jpg"
    assert current_uri("/gone/a.jpg", str(tmp_path)) == "/gone/a.jpg"
    assert current_uri("/gone/a.jpg", "s3://bucket") == "/gone/a.jpg"
