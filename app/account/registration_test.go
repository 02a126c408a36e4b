package account_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/riverqueue/river"

	"github.com/portico-web/portico/app/account"
)

func TestRegistrationSignsInAndEnqueuesTheWelcomeMail(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		school := b.school("한빛대학교", false)
		br := b.browser()
		br.header.Set("User-Agent", "phone \xff\x01 agent")
		br.header.Set("Accept-Language", "ko")
		got := br.post("/accounts/registration/", object{
			"email": " Min.Ji@Campus.Example ", "password1": password, "password2": password, "nickname": " 민지 ",
			"first_name": "민지", "last_name": "김", "school_id": school, "admission_year": 2024, "unknown": []int{1},
		}).want(http.StatusCreated)
		if got.text("access") == "" || got.text("refresh") != "" || len(got.Body) != 3 {
			t.Errorf("body %s", got.Raw)
		}
		user, _ := got.Body["user"].(map[string]any)
		if len(user) != 4 || user["email"] != "Min.Ji@campus.example" || user["first_name"] != "민지" || user["last_name"] != "김" || len(user["pk"].(string)) != 36 {
			t.Errorf("user %v", user)
		}
		if cache := got.Header.Get("Cache-Control"); cache != "no-store" {
			t.Errorf("Cache-Control %q", cache)
		}
		for name, age := range map[string]int{account.AccessCookie: 300, account.RefreshCookie: 24 * 60 * 60} {
			cookie := got.Cookies[name]
			if cookie == nil || cookie.Value == "" || !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode ||
				cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge != age {
				t.Errorf("cookie %s: %v", name, cookie)
			}
		}
		if got.text("access") != br.cookies[account.AccessCookie] {
			t.Error("body and cookie hold different access tokens")
		}
		br.do(http.MethodGet, "/accounts/user/", nil).want(http.StatusOK)
		if b.count("users", "nickname = '민지' AND school_id = ? AND admission_year = 2024 AND email_key = 'min.ji@campus.example' AND is_active AND NOT is_staff", school) != 1 {
			t.Error("the row is not as registered")
		}
		if b.count("users", "password LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'") != 1 {
			t.Error("the password is not hashed with argon2id")
		}
		if b.count("refresh_tokens", "ip = '203.0.113.7' AND user_agent LIKE 'phone%agent'") != 1 {
			t.Error("the session does not know its client")
		}
		jobs, err := b.jobs.JobList(t.Context(), river.NewJobListParams().Kinds("account.welcome_mail"))
		if err != nil {
			t.Fatal(err)
		}
		if len(jobs.Jobs) != 1 {
			t.Fatalf("%d welcome mails are enqueued, want 1", len(jobs.Jobs))
		}
		var mail account.WelcomeMail
		if err := json.Unmarshal(jobs.Jobs[0].EncodedArgs, &mail); err != nil {
			t.Fatal(err)
		}
		want := account.WelcomeMail{UserID: mail.UserID, Email: "Min.Ji@campus.example", Nickname: "민지", Lang: "ko"}
		if mail != want || mail.UserID.String() != user["pk"] {
			t.Errorf("mail %+v, want %+v", mail, want)
		}
	})
}

func TestRegistrationRefusesBadInput(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		gone := b.school("폐교", true)
		b.register("taken@example.com")
		good := func(changes object) object {
			body := object{"email": "new@example.com", "password1": password, "password2": password}
			for name, value := range changes {
				body[name] = value
			}
			return body
		}
		for name, test := range map[string]struct {
			body any
			want string
		}{
			"no body":           {nil, `{"email":["This field is required."],"password1":["This field is required."],"password2":["This field is required."]}`},
			"empty object":      {object{}, `{"email":["This field is required."],"password1":["This field is required."],"password2":["This field is required."]}`},
			"blank":             {good(object{"email": "", "password1": "", "password2": ""}), `{"email":["This field may not be blank."],"password1":["This field may not be blank."],"password2":["This field may not be blank."]}`},
			"null":              {good(object{"email": nil}), `{"email":["This field may not be null."]}`},
			"wrong types":       {good(object{"email": []int{1}, "password1": true}), `{"email":["Not a valid string."],"password1":["Not a valid string."]}`},
			"mismatch":          {good(object{"password2": password + "!"}), `{"non_field_errors":["The two password fields didn't match."]}`},
			"taken":             {good(object{"email": "TAKEN@Example.com"}), `{"email":["User is already registered with this e-mail address."]}`},
			"no address":        {good(object{"email": "Min Ji <a@b.co>"}), `{"email":["Enter a valid email address."]}`},
			"address with NUL":  {good(object{"email": "a\x00@example.com"}), `{"email":["Enter a valid email address."]}`},
			"long address":      {good(object{"email": strings.Repeat("a", 60) + "@" + strings.Repeat("b.", 120) + "com"}), `{"email":["Enter a valid email address."]}`},
			"short, numeric":    {good(object{"password1": "1234567", "password2": "1234567"}), `{"password1":["This password is too short. It must contain at least 8 characters.","This password is entirely numeric."]}`},
			"common":            {good(object{"password1": "PassWord123", "password2": "PassWord123"}), `{"password1":["This password is too common."]}`},
			"like the address":  {good(object{"email": "gildong.hong@example.com", "password1": "gildonghong", "password2": "x"}), `{"password1":["The password is too similar to the email address."]}`},
			"like the nickname": {good(object{"nickname": "무궁화꽃이피었습", "password1": "무궁화꽃이피었습", "password2": "x"}), `{"password1":["The password is too similar to the nickname."]}`},
			"long password":     {good(object{"password1": strings.Repeat("길", 129), "password2": "x"}), `{"password1":["Ensure this field has no more than 128 characters."]}`},
			"NUL in a name":     {good(object{"nickname": "a\x00b"}), `{"nickname":["Null characters are not allowed."]}`},
			"line in a name":    {good(object{"first_name": "a\nBcc: b"}), `{"first_name":["Control characters are not allowed."]}`},
			"long name":         {good(object{"nickname": strings.Repeat("민", 51)}), `{"nickname":["Ensure this field has no more than 50 characters."]}`},
			"no such school":    {good(object{"school_id": 9_000_000_000}), `{"school_id":["Invalid pk \"9000000000\" - object does not exist."]}`},
			"deleted school":    {good(object{"school_id": gone}), `{"school_id":["Invalid pk \"2\" - object does not exist."]}`},
			"school no number":  {good(object{"school_id": "first"}), `{"school_id":["A valid integer is required."]}`},
			"school huge":       {good(object{"school_id": 1e300}), `{"school_id":["A valid integer is required."]}`},
			"early admission":   {good(object{"admission_year": 1899}), `{"admission_year":["Ensure this value is greater than or equal to 1900."]}`},
			"late admission":    {good(object{"admission_year": 9_007_199_254_740_991}), `{"admission_year":["Ensure this value is less than or equal to 2100."]}`},
		} {
			want := strings.ReplaceAll(test.want, `pk \"2\"`, `pk \"`+jsonNumber(gone)+`\"`)
			t.Run(name, func(t *testing.T) {
				br := b.browser()
				got := br.post("/accounts/registration/", test.body)
				got.t = t
				got.want(http.StatusBadRequest).says(want)
				if len(br.cookies) != 0 {
					t.Errorf("cookies %v", br.cookies)
				}
			})
		}
		if users, jobs := b.count("users", "TRUE"), b.count("river_job", "TRUE"); users != 1 || jobs != 1 {
			t.Errorf("%d users and %d jobs, want 1 and 1", users, jobs)
		}
	})
}

func jsonNumber(n int64) string {
	raw, _ := json.Marshal(n)
	return string(raw)
}

func TestRegistrationTakesFormsAndOptionalFieldsLeftEmpty(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		school := b.school("한빛대학교", false)
		b.browser().post("/accounts/registration/", url.Values{
			"email": {"form@example.com"}, "password1": {password}, "password2": {password},
			"school_id": {jsonNumber(school)}, "nickname": {"12"}, "admission_year": {""},
		}).want(http.StatusCreated)
		if b.count("users", "school_id = ? AND nickname = '12' AND admission_year IS NULL", school) != 1 {
			t.Error("the form's values are not in the row")
		}
		b.browser().post("/accounts/registration/", object{
			"email": "null@example.com", "password1": password, "password2": password, "school_id": nil, "admission_year": nil, "nickname": nil,
		}).want(http.StatusCreated)
	})
}

func TestRegistrationInKoreanIsRefusedInKorean(t *testing.T) {
	t.Parallel()
	one(t, nil, func(t *testing.T, b *bench) {
		br := b.browser()
		br.header.Set("Accept-Language", "ko-KR,ko;q=0.9")
		br.post("/accounts/registration/", object{"email": "a", "password1": "1234567", "password2": ""}).
			want(http.StatusBadRequest).
			says(`{"email":["유효한 이메일 주소를 입력하세요."],"password1":["비밀번호가 너무 짧습니다. 최소 8자 이상이어야 합니다.","비밀번호를 숫자로만 만들 수 없습니다."],"password2":["이 필드는 비워 둘 수 없습니다."]}`)
	})
}

func TestOneOfTwoRegistrationsAtOnceSucceeds(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		const together = 4
		statuses := make([]int, together)
		bodies := make([]string, together)
		var group sync.WaitGroup
		for i := range together {
			group.Go(func() {
				got := b.browser().post("/accounts/registration/", object{"email": "Same@example.com", "password1": password, "password2": password})
				statuses[i], bodies[i] = got.Status, got.Raw
			})
		}
		group.Wait()
		created := 0
		for i, status := range statuses {
			if status == http.StatusCreated {
				created++
			} else if status != http.StatusBadRequest || !strings.Contains(bodies[i], "already registered") {
				t.Errorf("status %d, body %s", status, bodies[i])
			}
		}
		if users, jobs, tokens := b.count("users", "TRUE"), b.count("river_job", "TRUE"), b.count("refresh_tokens", "TRUE"); created != 1 || users != 1 || jobs != 1 || tokens != 1 {
			t.Errorf("%d created; %d users, %d jobs, %d tokens; want 1 of each", created, users, jobs, tokens)
		}
	})
}

func TestAdministratorIsMadeOnce(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		ctx := context.WithoutCancel(t.Context())
		admin, created, err := b.accounts.CreateAdmin(ctx, "admin@localhost", password)
		if err != nil || !created || !admin.IsStaff || !admin.IsSuperuser {
			t.Fatalf("%+v, %v, %v", admin, created, err)
		}
		again, created, err := b.accounts.CreateAdmin(ctx, "Admin@LOCALHOST", "another-password")
		if err != nil || created || again.ID != admin.ID {
			t.Errorf("%+v, %v, %v", again, created, err)
		}
		b.browser().post("/accounts/login/", object{"email": "admin@localhost", "password": password}).want(http.StatusOK)
		b.register("member@example.com")
		member, created, err := b.accounts.CreateAdmin(ctx, "member@example.com", password)
		if err != nil || created || member.IsStaff {
			t.Errorf("an existing account became %+v, %v, %v", member, created, err)
		}
		for _, bad := range [][2]string{{"nobody", password}, {"a@example.com", "short"}} {
			if _, _, err := b.accounts.CreateAdmin(ctx, bad[0], bad[1]); err == nil {
				t.Errorf("%v was taken", bad)
			}
		}
	})
}
