"""Beginnings of words about a request, in other languages than English: two of them in a short text are no description."""

import regex

from vlmine_dagster.mining.meta_words import listed_words

PICTURE_WORDS = tuple(listed_words("foreign_picture"))
REQUEST_WORDS = tuple(listed_words("foreign_request"))

_WITHOUT_SPACES = {
    "ko": "이미지 사진 파일 첨부 메시지 텍스트 받았 받은 보내 전송 업로드 잊으 설명 캡션 예시 문장 표현 생각 주제 먼저 말씀 없습니다 않았 것이 하는 드리 주시 해주 드릴 하는 것을 것 같아요 신 보자 그다음 배경 어떻게 할까 해",
    "ja": "画像 写真 ファイル 添付 メッセージ 文章 テキスト 届き 届いて 受け取 送って 送信 アップロード 忘れ 説明 キャプション サンプル 例文 表現 考え 主題 まず 次に どう 喜んで されて いません しか ありません だけ です ます の を が は し ようです",
    "zh": "图片 圖片 照片 图像 圖像 附件 附上 上传 上傳 消息 訊息 文字 文本 收到 发给 發給 发送 發送 忘记 忘記 忘了 描述 说明 說明 示例 范例 範例 表达 表達 思考 主体 主體 编造 編造 只有 没有 沒有 任何 您的 您 我 的 里 裡 了 都 是 把 很 乐意 樂意 似乎 只 先写 再写 先 再 可供 为空 為空 怎么 怎麼 比较好 一下",
    "he": "תמונ ההודעה הודעה טקסט קיבלתי צורף לצרף שכחת שלח העלה תיאור לתאר אתאר דוגמה לנסח נחשוב הנושא קודם בשמחה רק שלך מכילה דבר לא את כיתוב",
    "ar": "الصورة صورة صور الملف رسالتك الرسالة نص النص وصلني استلمت إرفاق يُرفق يرفق أرسل نسيت وصف وسأصف سأصفها تجريبي أصوغ لنفكر الموضوع أولًا سرور فقط تحتوي على شيء لم لي أنك يبدو كيف ذلك ثم",
    "hi": "तस्वीर चित्र छवि फ़ोटो फोटो फ़ाइल संदेश पाठ टेक्स्ट मिला संलग्न जोड़ना भेज भूल वर्णन विवरण नमूना लिखूँ सोचते विषय पहले ख़ुशी खुशी केवल कुछ नहीं आपके मुझे आप लगता है में का गए भी मैं से उसका",
}  # fmt: skip
_COVERING = {
    language: regex.compile("|".join(sorted(words.split(), key=len, reverse=True)))
    for language, words in _WITHOUT_SPACES.items()
}
_PICTURE = regex.compile(rf"(?:{'|'.join(sorted(PICTURE_WORDS, key=len, reverse=True))})\w*", regex.IGNORECASE)
_REQUEST = regex.compile(rf"(?:{'|'.join(sorted(set(REQUEST_WORDS), key=len, reverse=True))})\w*", regex.IGNORECASE)
_WORD = regex.compile(r"[\p{L}][\p{L}\p{M}'-]*")
_LEAST_SHARE = 0.25
_LEAST_COVER = 0.75
_LONGEST = 30  # words


def is_about_the_request(text: str, *, has_spaces: bool) -> bool:
    """Return whether a short text speaks mostly of pictures, messages and descriptions, and names little else.

    Args:
        text: A text in another language than English, without what it quotes.
        has_spaces: Whether its script sets words apart by how they begin, as Latin and Cyrillic do.

    Examples:
        >>> is_about_the_request("Deine Nachricht enthält nur Text.", has_spaces=True)
        True
        >>> is_about_the_request("Ein Bild in einem goldenen Rahmen.", has_spaces=True)
        False
    """
    if has_spaces:
        words = [word.lower() for word in _WORD.findall(text)]
        request = {match.group()[:5] for word in words if (match := _REQUEST.fullmatch(word))}
        pictures = {
            match.group()[:4]
            for word in words
            if _REQUEST.fullmatch(word) is None and (match := _PICTURE.fullmatch(word))
        }
        count = sum(_REQUEST.fullmatch(word) is not None or _PICTURE.fullmatch(word) is not None for word in words)
        is_short = 0 < len(words) <= _LONGEST
        return is_short and bool(request) and len(request) + len(pictures) >= 2 and count / len(words) >= _LEAST_SHARE
    counted = sum(map(len, _WORD.findall(text)))
    if not counted or counted > 6 * _LONGEST:
        return False
    return any(sum(map(len, pattern.findall(text))) / counted >= _LEAST_COVER for pattern in _COVERING.values())
