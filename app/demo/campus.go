package demo

// kinds are what the boards of every school are about, in this order.
var kinds = []string{"free", "fresh", "career", "market", "club"}

// campusSchool is a school that does not exist.
type campusSchool struct {
	name, domain string
	texts        language
	boards       [5][2]string // category and name, by kind
	nicknames    [peoplePerSchool]string
}

var koreanBoards = [5][2]string{{"자유", "자유게시판"}, {"새내기", "새내기게시판"}, {"진로", "진로게시판"}, {"장터", "중고장터"}, {"모임", "동아리와 소모임"}}

var campus = []campusSchool{
	{"한빛누리대학교", "hanbit", korean, koreanBoards,
		[10]string{"졸린다람쥐", "복숭아식빵", "느린거북", "새벽라디오", "감자요정", "구름계단", "노란양말", "밤산책", "초코우유", "종이비행기"}},
	{"가온마루대학교", "gaon", korean, koreanBoards,
		[10]string{"파란우체통", "보리차한잔", "모서리자리", "토마토줄기", "귤껍질", "비온뒤", "연필깎이", "두부한모", "창가고양이", "식은붕어빵"}},
	{"미르솔공과대학교", "mirsol", korean, koreanBoards,
		[10]string{"납땜초보", "세미콜론", "회로미아", "야간실험", "공대개미", "널포인터", "기어변속", "물리싫어", "컵라면박사", "나사하나"}},
	{"Haneul International University", "haneul", english,
		[5][2]string{{"Free", "Free talk"}, {"Freshers", "First year"}, {"Careers", "Careers"}, {"Market", "Marketplace"}, {"Clubs", "Clubs and groups"}},
		[10]string{"sleepy otter", "papercrane", "third floor", "mild curry", "rainboots", "left earbud", "quiet kettle", "northgate", "tangerine", "late train"}},
}

// logins begin the addresses of the people.
var logins = []string{"otter", "maple", "pebble", "comet", "willow", "ginger", "harbor", "lantern", "meadow", "nimbus", "orchid", "puddle", "quartz"}
