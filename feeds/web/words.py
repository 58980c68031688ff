"""What the subscription pages say, in English, Russian and Kazakh. Pure.

Channels and editions are called as in letters: see `feeds.letters.words`.
"""

# ruff: noqa: RUF001 -- Cyrillic letters are the matter here
from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "subscribe": "Get the news by mail",
        "offer": "Choose what you want to read. You can change that, or leave, at any time.",
        "email": "Your email address",
        "email_hint": "As name@example.org. It is used for the letters and nothing else.",
        "email_bad": "Enter an email address of the form name@example.org.",
        "error": "Error",
        "problem": "Something needs your attention",
        "channels": "Channels",
        "channels_hint": "An article that is on several channels comes once.",
        "channels_bad": "Choose at least one channel.",
        "editions": "Editions",
        "editions_bad": "Choose at least one edition.",
        "languages": "Languages of the articles",
        "languages_bad": "Choose at least one language.",
        "trap": "Leave this field empty",
        "sign_up": "Sign up",
        "promise": "You get one mail first and no letter until you confirm. Letters hold no tracking.",
        "asked": "Look into your mail",
        "asked_text": (
            "If letters can be sent to this address, a mail is on its way. Open the link in it to"
            " confirm. Until then you get nothing else."
        ),
        "asked_more": "No mail after some minutes? Look among the unwanted ones. Whoever gets letters"
        " already gets no such mail; a mail comes once a day at most.",
        "confirm": "Confirm your subscription",
        "confirm_text": "Press the button, and the next letter is yours.",
        "confirm_button": "Confirm",
        "confirmed": "You are subscribed",
        "confirmed_text": (
            "Your letters begin with the next edition. At the foot of each is a link by which you"
            " change what you get, or leave."
        ),
        "preferences": "Your letters",
        "for": "These are the letters to {email}.",
        "save": "Save",
        "saved": "Saved. It counts from the next letter on.",
        "idle": "No letters go to {email}.",
        "pending": "No letters go to {email} yet: open the link in the mail that asks you to confirm.",
        "again": "Sign up again",
        "leave": "Leave all letters",
        "leave_text": "You get no more letters of any edition, from now on.",
        "left": "You get no more letters",
        "left_text": "A letter that is on its way already may still come.",
        "erase": "Erase my data",
        "erase_text": (
            "You get no more letters, and your address and your choices are removed. A mark that"
            " doesn't tell the address stays, so that nobody subscribes you again."
        ),
        "erase_sure": "Erase your data?",
        "erase_button": "Erase for good",
        "keep": "Keep everything as it is",
        "erased": "Your data is erased",
        "erased_text": "You get no more letters. You can sign up again whenever you like.",
        "gone": "This link is no longer valid",
        "gone_text": "If you still get letters, use the link in the newest one.",
        "used_text": (
            "It works once, for two weeks, and only the newest one. If you have confirmed before, your"
            " letters come; if not, sign up again."
        ),
        "unknown": "Nothing was changed",
        "unknown_text": "That can't be done here. Go back and try again.",
        "busy": "Not now, please",
        "busy_text": "This can't be done at the moment. Nothing was changed. Try again in a minute.",
        "often": "Too many at once",
        "often_text": "Too much was sent from your network. Wait a while and try again.",
    },
    "ru": {
        "subscribe": "Новости по почте",
        "offer": "Выберите, что хотите читать. Изменить выбор или отписаться можно в любой момент.",
        "email": "Ваш адрес электронной почты",
        "email_hint": "Например, name@example.org. Он нужен только для писем.",
        "email_bad": "Введите адрес электронной почты, например name@example.org.",
        "error": "Ошибка",
        "problem": "Проверьте введённое",
        "channels": "Каналы",
        "channels_hint": "Статья, которая относится к нескольким каналам, придёт один раз.",
        "channels_bad": "Выберите хотя бы один канал.",
        "editions": "Выпуски",
        "editions_bad": "Выберите хотя бы один выпуск.",
        "languages": "Языки статей",
        "languages_bad": "Выберите хотя бы один язык.",
        "trap": "Оставьте это поле пустым",
        "sign_up": "Подписаться",
        "promise": "Сначала придёт одно письмо, без подтверждения других не будет. Слежки нет.",
        "asked": "Проверьте почту",
        "asked_text": (
            "Если на этот адрес можно отправлять письма, письмо уже в пути. Откройте ссылку в нём,"
            " чтобы подтвердить подписку. До этого больше ничего не придёт."
        ),
        "asked_more": "Письма нет несколько минут? Загляните в спам. Тем, кто уже подписан, такое письмо"
        " не приходит; оно отправляется не чаще раза в день.",
        "confirm": "Подтвердите подписку",
        "confirm_text": "Нажмите кнопку, и следующее письмо придёт вам.",
        "confirm_button": "Подтвердить",
        "confirmed": "Вы подписаны",
        "confirmed_text": (
            "Письма начнутся со следующего выпуска. Внизу каждого есть ссылка, по которой можно"
            " изменить выбор или отписаться."
        ),
        "preferences": "Ваши письма",
        "for": "Это письма на адрес {email}.",
        "save": "Сохранить",
        "saved": "Сохранено. Действует со следующего письма.",
        "idle": "На адрес {email} письма не отправляются.",
        "pending": "На адрес {email} письма пока не отправляются: откройте ссылку в письме с"
        " просьбой о подтверждении.",
        "again": "Подписаться снова",
        "leave": "Отписаться от всех писем",
        "leave_text": "С этого момента не придёт ни один выпуск.",
        "left": "Писем больше не будет",
        "left_text": "Письмо, которое уже в пути, ещё может прийти.",
        "erase": "Удалить мои данные",
        "erase_text": (
            "Писем больше не будет, а адрес и выбор удаляются. Останется метка, по которой адрес"
            " не узнать: она не даст никому подписать вас снова."
        ),
        "erase_sure": "Удалить ваши данные?",
        "erase_button": "Удалить навсегда",
        "keep": "Оставить всё как есть",
        "erased": "Ваши данные удалены",
        "erased_text": "Писем больше не будет. Подписаться снова можно когда угодно.",
        "gone": "Ссылка больше не действует",
        "gone_text": "Если письма всё ещё приходят, откройте ссылку в самом новом из них.",
        "used_text": (
            "Она действует один раз, две недели, и только самая новая. Если вы уже подтвердили"
            " подписку, письма придут; если нет, подпишитесь снова."
        ),
        "unknown": "Ничего не изменилось",
        "unknown_text": "Здесь это невозможно. Вернитесь и попробуйте ещё раз.",
        "busy": "Сейчас не получается",
        "busy_text": "Сейчас это невозможно, ничего не изменилось. Попробуйте через минуту.",
        "often": "Слишком много сразу",
        "often_text": "Из вашей сети отправлено слишком много. Подождите и попробуйте снова.",
    },
    "kk": {
        "subscribe": "Жаңалықтар поштаңызға",
        "offer": "Нені оқығыңыз келетінін таңдаңыз. Таңдауды кез келген уақытта өзгертуге немесе"
        " жазылудан бас тартуға болады.",
        "email": "Электрондық поштаңыздың мекенжайы",
        "email_hint": "Мысалы, name@example.org. Ол тек хаттар үшін қажет.",
        "email_bad": "Электрондық пошта мекенжайын енгізіңіз, мысалы name@example.org.",
        "error": "Қате",
        "problem": "Енгізілгенді тексеріңіз",
        "channels": "Арналар",
        "channels_hint": "Бірнеше арнаға қатысты мақала бір рет келеді.",
        "channels_bad": "Кемінде бір арнаны таңдаңыз.",
        "editions": "Шығарылымдар",
        "editions_bad": "Кемінде бір шығарылымды таңдаңыз.",
        "languages": "Мақалалардың тілдері",
        "languages_bad": "Кемінде бір тілді таңдаңыз.",
        "trap": "Бұл өрісті бос қалдырыңыз",
        "sign_up": "Жазылу",
        "promise": "Алдымен бір хат келеді; растамасаңыз, басқа хат келмейді. Хаттарда бақылау жоқ.",
        "asked": "Поштаңызды тексеріңіз",
        "asked_text": (
            "Бұл мекенжайға хат жіберуге болса, хат жолда. Растау үшін ондағы сілтемені ашыңыз."
            " Оған дейін басқа ештеңе келмейді."
        ),
        "asked_more": "Бірнеше минуттан кейін де хат жоқ па? Спамды қараңыз. Жазылып қойғандарға мұндай"
        " хат келмейді; ол күніне бір реттен жиі жіберілмейді.",
        "confirm": "Жазылуды растаңыз",
        "confirm_text": "Түймені басыңыз, келесі хат сізге келеді.",
        "confirm_button": "Растау",
        "confirmed": "Сіз жазылдыңыз",
        "confirmed_text": (
            "Хаттар келесі шығарылымнан басталады. Әрқайсысының соңында таңдауды өзгертетін немесе"
            " жазылудан бас тартатын сілтеме бар."
        ),
        "preferences": "Сіздің хаттарыңыз",
        "for": "Бұл {email} мекенжайына келетін хаттар.",
        "save": "Сақтау",
        "saved": "Сақталды. Келесі хаттан бастап әрекет етеді.",
        "idle": "{email} мекенжайына хат жіберілмейді.",
        "pending": "{email} мекенжайына әзірге хат жіберілмейді: растауды сұраған хаттағы сілтемені"
        " ашыңыз.",
        "again": "Қайта жазылу",
        "leave": "Барлық хаттан бас тарту",
        "leave_text": "Осы сәттен бастап бірде-бір шығарылым келмейді.",
        "left": "Енді хат келмейді",
        "left_text": "Жолға шығып кеткен хат әлі келуі мүмкін.",
        "erase": "Деректерімді жою",
        "erase_text": (
            "Енді хат келмейді, мекенжайыңыз бен таңдауыңыз жойылады. Мекенжайды танытпайтын белгі"
            " қалады: ол сізді басқа біреудің қайта жаздыруына жол бермейді."
        ),
        "erase_sure": "Деректеріңізді жою керек пе?",
        "erase_button": "Біржола жою",
        "keep": "Бәрін сол күйінде қалдыру",
        "erased": "Деректеріңіз жойылды",
        "erased_text": "Енді хат келмейді. Қалаған кезде қайта жазыла аласыз.",
        "gone": "Сілтеме енді жарамсыз",
        "gone_text": "Хаттар әлі келіп жатса, ең жаңасындағы сілтемені ашыңыз.",
        "used_text": (
            "Ол бір рет, екі апта бойы және тек ең жаңасы ғана жарамды. Бұрын растаған болсаңыз,"
            " хаттар келеді; болмаса, қайта жазылыңыз."
        ),
        "unknown": "Ештеңе өзгерген жоқ",
        "unknown_text": "Мұнда оны жасау мүмкін емес. Артқа қайтып, қайталап көріңіз.",
        "busy": "Қазір болмайды",
        "busy_text": "Қазір мүмкін емес, ештеңе өзгерген жоқ. Бір минуттан кейін қайталап көріңіз.",
        "often": "Бірден тым көп",
        "often_text": "Желіңізден тым көп жіберілді. Біраз күтіп, қайталап көріңіз.",
    },
}
"""Each language has the same keys. `{email}` is the address with all but its first letter hidden."""

TONGUES: Mapping[str, str] = {"en": "English", "ru": "Русский", "kk": "Қазақша"}
"""Languages by their own names."""
